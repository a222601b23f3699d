cpu_seconds()
{
	awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) / hz) }' \
		"/proc/$(cat qemu.pid)/stat" 2>/dev/null || echo 0
}
end_if_silent()
{
	trap 'kill $!; exit' TERM
	said='' begun=0 checks=0
	until grep -q 'vm: up' console.log; do
		now=$(stat -c %s console.log)
		if [ "$now" != "$said" ]; then
			said=$now begun=$(cpu_seconds) checks=0
		fi
		checks=$((checks + 1))
		if [ $(($(cpu_seconds) - begun)) -ge "$VM_SILENCE" ] ||
			[ "$checks" -ge "$VM_SILENCE" ]; then
			kill "$vm"
			return
		fi
		sleep 5 &
		wait $!
	done
}
set -eu; vm=18259 VM_SILENCE=1; end_if_silent & wait $!
