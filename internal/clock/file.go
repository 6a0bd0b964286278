package clock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// layout is RFC 3339 with microseconds, always as long.
const layout = "2006-01-02T15:04:05.000000Z"

// load reads the file.
func load(path string) (time.Time, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return time.Time{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 100))
	if err := errors.Join(err, f.Close()); err != nil {
		return time.Time{}, err
	}
	line, whole := strings.CutSuffix(string(text), "\n")
	t, err := time.Parse(layout, line)
	if err != nil || !whole || t.Format(layout) != line {
		return time.Time{}, fmt.Errorf("%s: %.40q is not a time such as %s: make sure that the clock is right and remove the file", path, text, layout)
	}
	return t, nil
}

// save replaces the file, durably.
func save(path string, t time.Time) error {
	f, err := lockTemp(path + ".tmp")
	if err != nil {
		return err
	}
	err = f.Truncate(0) // a crash may have left a part
	if err == nil {
		_, err = f.WriteString(t.Format(layout) + "\n")
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockTemp opens the temporary file for the one guard that may write it. It has
// one name, so that crashes do not leave ever more of them.
func lockTemp(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil && same(f, path) {
			return f, nil
		}
		// Another guard was first, and what was waited for is no longer temporary.
		if cerr := f.Close(); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), cerr)
		}
	}
}

// same reports whether path still is f.
func same(f *os.File, path string) bool {
	a, aerr := f.Stat()
	b, berr := os.Lstat(path)
	return aerr == nil && berr == nil && os.SameFile(a, b)
}
