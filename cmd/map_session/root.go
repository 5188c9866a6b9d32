package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const rootLong = `Join an Ethernet port to a far end across an IP network, by L2TPv3 (RFC 3931).

One call makes one session in both directions: frames that arrive on the circuit
(-E) leave encapsulated for the peer, and packets of the peer that arrive on the
underlay (-D) leave decapsulated by the circuit. Forwarding goes on after the
command has ended. The same call again with other values changes the session.

The far end needs the same with local and peer exchanged.`

const rootExample = `  map_session -l 192.0.2.1 -p 192.0.2.2 -x ip -i 12 -I 21 -E eth1 -D eth0
  map_session -l [2001:db8::1]:1701 -p [2001:db8::2]:1701 -x udp -i 12 -I 21 -E 5 -D 3
  map_session list
  map_session del -i 12`

// newRoot makes the command. It sets started once the command line has been
// parsed.
func newRoot(started *bool) *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "map_session -l ADDRESS[:PORT] -p ADDRESS[:PORT] -i ID -I ID -E INTERFACE -D INTERFACE",
		Short:         "Make static L2TPv3 pseudowires by eBPF, without an agent",
		Long:          rootLong,
		Example:       rootExample,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentPreRun = func(*cobra.Command, []string) { *started = true }
	pins := root.PersistentFlags().String("pins", defaultPins, "directory on a bpf file system; each network namespace needs its own")
	o.flags(root)
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := o.session(findInterface)
		if err != nil {
			return err
		}
		if err := change(*pins, func(e editor) error { return e.add(s) }); err != nil {
			return fmt.Errorf("add session %d: %w", s.receive.Session, err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "session %d joins %s to %s\n", s.receive.Session, s.circuit.Name, s.transmit.Remote)
		return nil
	}
	root.AddCommand(delCommand(pins), listCommand(pins))
	return root
}

// flags adds the flags of the original demonstration, and those that go beyond
// it, which have no letter.
func (o *options) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.local, "local", "l", "", "our address, with :PORT for UDP; IPv6 as [ADDRESS]:PORT")
	f.StringVarP(&o.peer, "peer", "p", "", "the peer's address, with :PORT for UDP; IPv6 as [ADDRESS]:PORT")
	f.StringVarP(&o.encapsulation, "encap", "x", "udp", "udp or ip")
	f.StringVarP(&o.id, "session", "i", "", "our session id, which the peer sends")
	f.StringVarP(&o.peerID, "peer-session", "I", "", "the peer's session id, which we send")
	f.StringVarP(&o.circuit, "circuit", "E", "", "interface, by name or index, whose frames are encapsulated")
	f.StringVarP(&o.underlay, "underlay", "D", "", "interface, by name or index, whose packets are decapsulated")
	f.StringVar(&o.localCookie, "local-cookie", "", "cookie that the peer must send: 4 or 8 bytes in hexadecimal")
	f.StringVar(&o.peerCookie, "peer-cookie", "", "cookie that we send: 4 or 8 bytes in hexadecimal")
	f.StringVar(&o.sublayer, "sublayer", "default", "L2-specific sublayer: default or none")
}
