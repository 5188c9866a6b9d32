// Command rr is a route reflector for EVPN routes, for laboratories: see
// package reflector.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"longwire/test/peer/reflector"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := reflector.Main(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rr:", err)
		os.Exit(1)
	}
}
