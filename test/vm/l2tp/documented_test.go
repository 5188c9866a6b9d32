package l2tp

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"longwire/test/lab"
)

// documentedNumber is that of the example's customer's port. The example's
// circuit has a name of its own.
const (
	documentedNumber  = 200
	documentedCircuit = "eth2"
	documentedDevice  = "l2tpeth0"
)

// documented sets up the kernel's end of the manual's example, word for word,
// and returns Longwire's.
func (w *world) documented() lab.Pseudowire {
	w.t.Helper()
	manual, err := os.ReadFile("../../../docs/interop.md")
	if err != nil {
		w.t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## Linux kernel L2TPv3\n")
	var config lab.Config
	if err := yaml.Unmarshal([]byte(block(section, "yaml")), &config); err != nil || len(config.Pseudowires) != 1 {
		w.t.Fatalf("docs/interop.md has %d pseudowires, error %v", len(config.Pseudowires), err)
	}
	// The modules are loaded already.
	script := strings.ReplaceAll(block(section, "sh"), "modprobe ", "grep -q ^l2tp_ip /proc/modules # ")
	w.guest.Must("set -e\n" + script)
	for _, host := range []netip.Prefix{netip.PrefixFrom(lab.Host4(theirs, documentedNumber), 24), netip.PrefixFrom(lab.Host6(theirs, documentedNumber), 64)} {
		w.guest.Must(fmt.Sprintf("ip address add %s dev %s", host, documentedDevice))
	}
	port := lab.HostPort(documentedNumber)
	w.lab.Veth(w.ce, port, w.pe.Namespace, documentedCircuit, lab.DefaultMTU)
	w.ce.Address(port, netip.PrefixFrom(lab.Host4(ours, documentedNumber), 24).String())
	w.ce.Address(port, netip.PrefixFrom(lab.Host6(ours, documentedNumber), 64).String())
	return config.Pseudowires[0]
}

// block returns the first code block of a language in a text.
func block(text, language string) string {
	_, rest, _ := strings.Cut(text, "\n```"+language+"\n")
	code, _, _ := strings.Cut(rest, "\n```\n")
	return code
}
