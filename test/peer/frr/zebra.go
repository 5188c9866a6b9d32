package frr

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// zebraProgram is where Debian puts it.
const zebraProgram = "/usr/lib/frr/zebra"

// zserv is the socket by which zebra serves bgpd.
func (r *Router) zserv() string { return filepath.Join(r.Dir, "zserv.api") }

// startZebra starts zebra, which insists on a user of its own.
func (r *Router) startZebra(name string) {
	r.lab.Poll(0, "directory of "+name, r.giveAway)
	r.zebra = r.namespace.Start(name, append(r.common(zebraProgram, "zebra.conf"), "-u", "frr", "-g", "frr", "-z", r.zserv())...)
	r.lab.Poll(startTime, name, func() error {
		_, err := os.Stat(r.zserv())
		return errors.Join(err, r.zebra.Running())
	})
}

// giveAway makes the directory FRR's own, and lets FRR pass the lab's to it.
func (r *Router) giveAway() error {
	owner, err := user.Lookup("frr")
	if err != nil {
		return fmt.Errorf("%w: %s", err, advice)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return err
	}
	if err := os.Chmod(r.lab.Dir(), 0o711); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(r.Dir, "*"))
	if err != nil {
		return err
	}
	for _, path := range append(files, r.Dir) {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
