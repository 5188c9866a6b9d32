package lab

import (
	"context"
	"fmt"
	"strings"
)

// Tshark decodes a capture with Wireshark's own dissectors, an opinion that is
// independent of ours, and returns one row for each packet that the display
// filter lets through, with the fields in order. Several values of a field are
// joined by commas. options are more of tshark's own.
func Tshark(ctx context.Context, path, filter string, options []string, fields ...string) ([][]string, error) {
	argv := append([]string{"tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=|"}, options...)
	if filter != "" {
		argv = append(argv, "-Y", filter)
	}
	for _, field := range fields {
		argv = append(argv, "-e", field)
	}
	out, err := run(ctx, argv...)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimRight(out, "\n"), "\n") {
		if line != "" {
			rows = append(rows, strings.Split(line, "|"))
		}
	}
	return rows, nil
}

// L2TPOptions tell tshark what the packets of an L2TPv3 session do not say: the
// layout of the session, and that it carries Ethernet. Checksums are verified.
// cookie is its length in bytes.
func L2TPOptions(cookie int, sublayer bool) []string {
	size := map[int]string{0: "None", 4: "4 Byte Cookie", 8: "8 Byte Cookie"}[cookie]
	specific := "None"
	if sublayer {
		specific = "Default L2-Specific"
	}
	return []string{
		"-o", "l2tp.cookie_size:" + size, "-o", "l2tp.l2_specific:" + specific, "-d", "l2tp.pw_type==0,eth",
		"-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
	}
}

// TsharkVersion returns the name and version of the installed tshark, as it says
// itself: "tshark 4.0.17".
func TsharkVersion(ctx context.Context) (string, error) {
	out, err := run(ctx, "tshark", "--version")
	if err != nil {
		return "", fmt.Errorf("ask tshark for its version: %w", err)
	}
	words := strings.Fields(out)
	for i, word := range words {
		if word == "(Wireshark)" && i+1 < len(words) {
			return "tshark " + strings.TrimSuffix(words[i+1], "."), nil
		}
	}
	return "", fmt.Errorf("tshark says nothing of its version: %q", out)
}
