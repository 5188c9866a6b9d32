// Package bpf holds the C programs of the data plane and the Go bindings that
// are generated from them. The compiled object is committed, so that building
// needs Go alone; "make generate" makes it again with clang-19.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -cflags "-O2 -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -target bpfel -go-package bpf -type carrier -type receive_flag -type transmit_flag -type drop_reason -type settings_flag -type port_role Longwire longwire.c
