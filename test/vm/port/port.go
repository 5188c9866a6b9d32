// Package port is what a virtual machine's host and the first process in it say
// to each other over a virtio-serial port: one JSON value on each line.
package port

import "time"

// Name is the name of the port, as the guest finds it under
// /sys/class/virtio-ports.
const Name = "longwire"

// Request asks the guest to run a script. The zero id asks it to power off, and
// is not answered.
type Request struct {
	ID     uint64        `json:"id"`
	Script string        `json:"script"` // for bash -c
	Within time.Duration `json:"within"` // then the script is killed, in nanoseconds
}

// Answer is the outcome of the request with the same id. The guest sends one
// with the zero id when it is ready.
type Answer struct {
	ID     uint64 `json:"id"`
	Output []byte `json:"output"` // standard output and error, as they came
	Code   int    `json:"code"`   // exit status, -1 when a signal ended the script
	// Error says why the guest is not ready, or the script could not be run or was
	// killed.
	Error string `json:"error,omitempty"`
}

// Paths in the guest that the host prepares.
const (
	// Modules lists the files of kernel modules, in the order to load them.
	Modules = "/etc/modules"
	// Share is where the directory of the host is, with ShareTag on the kernel's
	// command line.
	Share    = "/share"
	ShareTag = "longwire.share"
)
