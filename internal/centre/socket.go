package centre

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// socketFile is the control socket in a node's directory.
const socketFile = "run/control.sock"

// maxSocketPath is what sun_path holds besides its final NUL (unix(7)).
const maxSocketPath = 107

// withSocket calls f with a path of the socket that is short enough for the
// kernel. A long one is reached through an open descriptor of its directory.
func withSocket(dir string, f func(path string) error) error {
	path := filepath.Join(dir, socketFile)
	if len(path) <= maxSocketPath {
		return f(path)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the path %s is longer than the %d bytes that a socket may have: move the node to a shorter one", path, maxSocketPath)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return f(filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), filepath.Base(path)))
}

// listenControl makes the socket. Only the holder of the log's lock may call
// it: a socket that is there is a leftover.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the old control socket: %w", err)
	}
	var l *net.UnixListener
	err := withSocket(dir, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // the short path may not lead there any more
	// The directory is private, so that nobody came between.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the control socket to others: %w", err), l.Close())
	}
	return l, nil
}

// dialControl connects to the process that holds the node.
func dialControl(ctx context.Context, dir string) (c net.Conn, err error) {
	err = withSocket(dir, func(short string) (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "unix", short)
		return err
	})
	return c, err
}
