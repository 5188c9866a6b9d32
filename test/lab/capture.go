package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// Capture is a tcpdump that writes what passes a device into a file.
type Capture struct {
	Path   string
	daemon *Daemon
	lab    *Lab
}

// captureBuffer is tcpdump's kernel buffer in KiB.
const captureBuffer = "65536"

// Capture starts to capture on a device; filter is an expression of
// pcap-filter(7) and may be empty, more are further options of tcpdump. It
// returns when tcpdump listens.
func (n *Namespace) Capture(dev, filter string, more ...string) *Capture {
	n.lab.tb.Helper()
	l := n.lab
	l.mu.Lock()
	number := len(l.captures)
	name := fmt.Sprintf("capture-%d-%s-%s", number, n.Role, dev)
	c := &Capture{Path: l.Path(name + ".pcap"), lab: l}
	l.captures = append(l.captures, c)
	l.mu.Unlock()
	argv := []string{"tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode", "-s", "0", "-B", captureBuffer,
		"-i", dev, "-w", c.Path}
	argv = append(argv, more...)
	if filter != "" {
		argv = append(argv, filter)
	}
	c.daemon = n.Start(name, argv...)
	l.Poll(5*time.Second, "tcpdump on "+dev, func() error {
		if strings.Contains(c.daemon.Log(), "listening on") {
			return nil
		}
		return errors.Join(errors.New("it does not listen yet"), c.daemon.Running())
	})
	return c
}

// Packets returns the packets that the file holds, from the Ethernet header on.
// While the capture runs, the last one may still be missing.
func (c *Capture) Packets() ([][]byte, error) {
	var packets [][]byte
	err := c.Each(func(packet []byte) { packets = append(packets, append([]byte(nil), packet...)) })
	return packets, err
}

// Each calls f for every packet in the file; the bytes are valid during the
// call.
func (c *Capture) Each(f func(packet []byte)) error {
	file, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	reader, err := pcapgo.NewReader(file)
	if err != nil {
		return err
	}
	for {
		packet, _, err := reader.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f(packet)
	}
}

// Await waits until at least count packets are in the file.
func (c *Capture) Await(within time.Duration, count int) error {
	return Await(within, func() error {
		packets, err := c.Packets()
		if err == nil && len(packets) < count {
			err = fmt.Errorf("%d of %d packets captured", len(packets), count)
		}
		return err
	})
}

// droppedLine is tcpdump's last word on what the kernel could not keep for it.
var droppedLine = regexp.MustCompile(`(\d+) packets? dropped by kernel`)

// quiet is how long a file must not grow to be complete: tcpdump writes each
// packet at once, and forgets at its end those that it has not yet read.
const quiet = 100 * time.Millisecond

// drain waits until tcpdump has written all that the kernel has for it.
func (c *Capture) drain() error {
	var size int64
	grown := time.Now()
	return Await(stopTime, func() error {
		info, err := os.Stat(c.Path)
		if err != nil {
			return err
		}
		if info.Size() != size {
			size, grown = info.Size(), time.Now()
		}
		if time.Since(grown) < quiet {
			return fmt.Errorf("%s still grows", c.Path)
		}
		return nil
	})
}

// Stop ends the capture, whose traffic has ended, and returns how many packets
// it missed.
func (c *Capture) Stop() (missed int) {
	c.lab.tb.Helper()
	if err := c.drain(); err != nil {
		c.lab.tb.Errorf("%v", err)
	}
	c.daemon.Signal(syscall.SIGINT)
	c.daemon.Exit(stopTime)
	m := droppedLine.FindStringSubmatch(c.daemon.Log())
	if m == nil {
		c.lab.tb.Fatalf("tcpdump said nothing of dropped packets: %s", tail(c.daemon.Log(), 5))
	}
	// The expression holds digits only.
	missed, _ = strconv.Atoi(m[1])
	return missed
}
