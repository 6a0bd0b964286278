package artifact

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// attributes writes the extended attributes of a file, capabilities among them:
// they give rights as setuid does. What a security module of this machine put
// there is of the copy.
func attributes(path string) (string, error) {
	buf := make([]byte, 0)
	n, err := unix.Llistxattr(path, nil)
	if err == nil && n > 0 {
		buf = make([]byte, n)
		n, err = unix.Llistxattr(path, buf)
	}
	if errors.Is(err, unix.ENOTSUP) || n <= 0 && err == nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading extended attributes of %s: %w", path, err)
	}
	var out []string
	for name := range strings.SplitSeq(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if name == "security.selinux" || name == "security.ima" || name == "security.evm" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("reading extended attribute %s of %s: %w", name, path, err)
		}
		out = append(out, fmt.Sprintf("%s=%x", name, value[:n]))
	}
	slices.Sort(out)
	return strings.Join(out, " "), nil
}
