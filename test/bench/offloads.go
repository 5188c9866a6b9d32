package main

import (
	"fmt"

	"github.com/safchain/ethtool"

	"longwire/test/lab"
)

// segmentation are the features by which a device takes super-frames and
// unfinished checksums. A plain card has none of them for our packets.
var segmentation = []string{
	"tx-checksum-ip-generic", "tx-scatter-gather", "tx-scatter-gather-fraglist",
	"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation",
	"tx-udp-segmentation", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-gso-list",
}

// offloads is what a device had when it was made.
type offloads struct {
	ns      *lab.Namespace
	device  string
	initial map[string]bool // of the segmentation features that the kernel knows
}

// offloads remembers the features that a device has by default.
func (w *world) offloads(ns *lab.Namespace, device string) *offloads {
	o := &offloads{ns: ns, device: device, initial: map[string]bool{}}
	err := o.do(func(e *ethtool.Ethtool) error {
		have, err := e.Features(device)
		if err != nil {
			return fmt.Errorf("list the offloads of %s: %w", device, err)
		}
		for _, name := range segmentation {
			if on, known := have[name]; known {
				o.initial[name] = on
			}
		}
		return nil
	})
	w.must(err, "read the offloads")
	return o
}

// off takes all of them away: the stack then cuts and sums every packet before
// the device sees it.
func (o *offloads) off() error {
	all := map[string]bool{}
	for name := range o.initial {
		all[name] = false
	}
	return o.change(all)
}

// reset gives the device back what it had.
func (o *offloads) reset() error { return o.change(o.initial) }

func (o *offloads) change(to map[string]bool) error {
	return o.do(func(e *ethtool.Ethtool) error {
		if err := e.Change(o.device, to); err != nil {
			return fmt.Errorf("change the offloads of %s: %w", o.device, err)
		}
		have, err := e.Features(o.device)
		if err != nil {
			return fmt.Errorf("list the offloads of %s: %w", o.device, err)
		}
		for name, on := range to {
			if have[name] != on {
				return fmt.Errorf("offload %s of %s stayed %t", name, o.device, have[name])
			}
		}
		return nil
	})
}

// do runs f with a socket in the device's namespace.
func (o *offloads) do(f func(*ethtool.Ethtool) error) error {
	return o.ns.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("open ethtool: %w", err)
		}
		defer e.Close()
		return f(e)
	})
}
