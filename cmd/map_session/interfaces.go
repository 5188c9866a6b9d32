package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// helperPrefix begins the names of the data plane's own interfaces.
const helperPrefix = "longwire"

// findInterface finds an interface of our network namespace by index or name. A
// number is an index, as it was in the original demonstration.
func findInterface(text string) (*net.Interface, error) {
	var iface *net.Interface
	index, err := strconv.Atoi(text)
	if err == nil {
		iface, err = net.InterfaceByIndex(index)
	} else {
		iface, err = net.InterfaceByName(text)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("find interface %s: %w", text, err)
	case strings.HasPrefix(iface.Name, helperPrefix):
		return nil, fmt.Errorf("interface %s is Longwire's own", iface.Name)
	case len(iface.HardwareAddr) != 6:
		return nil, fmt.Errorf("interface %s carries no Ethernet frames", iface.Name)
	}
	return iface, nil
}

// interfaceNames returns the name of every interface, by index.
func interfaceNames() (map[int]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	names := make(map[int]string, len(all))
	for _, i := range all {
		names[i.Index] = i.Name
	}
	return names, nil
}

// netnsInode identifies the network namespace of the calling thread.
func netnsInode() (uint64, error) {
	info, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return 0, fmt.Errorf("find our network namespace: %w", err)
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}
