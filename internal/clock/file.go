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
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(t.Format(layout) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
