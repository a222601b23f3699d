# SPDX-License-Identifier: GPL-2.0
#
# pciback-reset for NixOS, without the driver: nix-build contrib
{ pkgs ? import <nixpkgs> { } }:

pkgs.stdenv.mkDerivation {
  pname = "xen-pciback-reset";
  version = "2.0";
  src = ../.;

  nativeBuildInputs = with pkgs; [ docutils pkg-config ];
  buildInputs = with pkgs; [ json_c pciutils xen ];

  dontConfigure = true;
  buildPhase = "make -C tools/xen RST2MAN=rst2man";
  installPhase = ''
    make -C tools/xen install install-man prefix=$out \
      scriptsdir=$out/etc/xen/scripts defaultdir=$out/etc/default RST2MAN=rst2man
  '';

  meta.description = "Thorough resets of PCI devices for Xen guests (command)";
}
