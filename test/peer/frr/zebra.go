package frr

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"longwire/test/lab"
)

// zebra is where Debian puts the daemon.
const zebra = "/usr/lib/frr/zebra"

// groups stands in for the system's groups: zebra runs as root here, because its
// directory is root's, and wants its user in this group.
const groups = "root:x:0:\nfrrvty:x:107:root\n"

// StartZebra starts a zebra in a namespace and returns the path of the socket that
// a bgpd reaches it by. From it bgpd learns the interfaces, addresses and routes
// of the namespace. name, unique in the lab, names its directory and log.
func StartZebra(n *lab.Namespace, name string) (socket string) {
	l := n.Lab()
	dir := l.Mkdir(name)
	socket = filepath.Join(dir, "zserv.api")
	group := l.Write(filepath.Join(name, "group"), groups)
	// The file is put over the system's in a mount namespace of zebra's own.
	within := fmt.Sprintf(`mount --bind %s /etc/group && exec "$@"`, group)
	d := n.Start(name, "unshare", "--mount", "sh", "-c", within, "sh",
		zebra, "-u", "root", "-g", "root", "-f", "/dev/null", "--log", "stdout", "-P", "0",
		"-z", socket, "-i", filepath.Join(dir, "zebra.pid"), "--vty_socket", dir)
	l.Poll(startTime, name, func() error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return errors.Join(err, d.Running(), installed())
		}
		return conn.Close()
	})
	return socket
}
