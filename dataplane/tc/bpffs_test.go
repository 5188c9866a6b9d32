package tc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"longwire/test/lab"
)

// TestOwnMounts sees a command whose mounts end with it, as those of ip netns
// exec do, and suspects nobody else.
func TestOwnMounts(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	child := strconv.Itoa(cmd.Process.Pid)
	err = lab.Await(5*time.Second, func() error {
		if !ownMounts(child, "self") {
			return errors.New("it shares our mounts")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, parent := range []string{"self", strconv.Itoa(os.Getppid()), "0", "absent"} {
		if ownMounts("self", parent) {
			t.Errorf("parent %s does not share our mounts", parent)
		}
	}
}
