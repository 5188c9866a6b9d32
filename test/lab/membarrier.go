package lab

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// WithoutMembarrier calls f where the kernel refuses membarrier(2), as it does on
// machines with nohz_full. It must run in a goroutine of its own, whose thread
// ends with it.
func WithoutMembarrier(f func() error) error {
	runtime.LockOSThread() // never unlocked: a filter cannot be taken off
	if err := refuseMembarrier(); err != nil {
		return fmt.Errorf("refuse membarrier: %w", err)
	}
	return f()
}

// refuseMembarrier filters the system calls of this thread (seccomp(2)).
func refuseMembarrier() error {
	const number = 0 // offset in struct seccomp_data
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MEMBARRIER, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return errno
	}
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, 1, 0, 0); !errors.Is(errno, unix.EINVAL) {
		return fmt.Errorf("membarrier is not refused: %w", errno)
	}
	return nil
}
