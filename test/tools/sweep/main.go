// Command sweep removes labs that outlived their process: those that were kept,
// and those of tests that were killed.
package main

import (
	"fmt"

	"longwire/test/lab"
)

func main() {
	for _, name := range lab.Sweep(true) {
		fmt.Println("removed", name)
	}
}
