package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vitrine.example/digest"
)

// reported is how many foreign files Walk names before it only counts.
const reported = 10

// Walk calls f for each stored digest, in order. What does not belong in the
// store is not followed; when all the rest was walked it is returned as
// [ErrForeign], by name. Content that is added or moved meanwhile may be seen
// or not.
func (s *Store) Walk(ctx context.Context, f func(Info) error) error {
	var odd oddities
	var shards []string
	err := s.quietly(func() error {
		shards = s.survey(&odd)
		return nil
	})
	if err != nil {
		return fmt.Errorf("walking content: %w", err)
	}
	for _, shard := range shards {
		var found []Info
		err := s.quietly(func() (err error) {
			found, err = s.list(shard, &odd)
			return err
		})
		if err != nil {
			return fmt.Errorf("walking content: %w", err)
		}
		for _, in := range found {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(in); err != nil {
				return err
			}
		}
	}
	return odd.err()
}

// oddities are names that do not belong in the store.
type oddities struct {
	names []string // the first of them
	more  int
}

func (o *oddities) add(path string) {
	if len(o.names) == reported {
		o.more++
		return
	}
	o.names = append(o.names, path)
}

func (o *oddities) err() error {
	names := strings.Join(o.names, ", ")
	switch {
	case names == "":
		return nil
	case o.more > 0:
		return fmt.Errorf("%w: %s and %d more", ErrForeign, names, o.more)
	}
	return fmt.Errorf("%w: %s", ErrForeign, names)
}

// survey returns the shards that any class has, in order, and notes what does
// not belong above them. Content that is moved between classes stays in the
// shard of its name, so none is missed.
func (s *Store) survey(odd *oddities) []string {
	top := append(classDirs(), tempDir, lockFile)
	s.scan("", odd, func(e fs.DirEntry) bool { return slices.Contains(top, e.Name()) && e.IsDir() == (e.Name() != lockFile) })
	s.scan(tempDir, odd, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), tempPrefix) && e.Type().IsRegular() })
	var shards []string
	for _, c := range classDirs() {
		s.scan(c, odd, func(e fs.DirEntry) bool {
			n := e.Name()
			ok := e.IsDir() && len(n) == 2 && strings.Trim(n, "0123456789abcdef") == ""
			if ok {
				shards = append(shards, n)
			}
			return ok
		})
	}
	slices.Sort(shards)
	return slices.Compact(shards)
}

// scan notes the entries of a directory that do not belong there.
func (s *Store) scan(dir string, odd *oddities, belongs func(fs.DirEntry) bool) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil {
		odd.add(err.Error())
	}
	for _, e := range entries {
		if !belongs(e) {
			odd.add(filepath.Join(s.dir, dir, e.Name()))
		}
	}
}

// list returns what one shard of every class holds, in order.
func (s *Store) list(shard string, odd *oddities) ([]Info, error) {
	var found []Info
	for _, c := range Classes() {
		dir := filepath.Join(s.dir, string(c), shard)
		if err := wantDir(dir); errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrForeign) {
			continue // survey has noted the latter
		} else if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			in, err := entry(c, shard, e)
			if errors.Is(err, ErrForeign) {
				odd.add(filepath.Join(dir, e.Name()))
			} else if err != nil {
				return nil, err
			} else {
				found = append(found, in)
			}
		}
	}
	slices.SortFunc(found, func(a, b Info) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	for i := 1; i < len(found); i++ {
		if a, b := found[i-1], found[i]; a.Digest == b.Digest {
			odd.add(fmt.Sprintf("%s under both %s and %s", a.Digest, a.Class, b.Class))
		}
	}
	return found, nil
}

// entry describes one file of a shard.
func entry(c Class, shard string, e fs.DirEntry) (Info, error) {
	d, err := digest.Parse(e.Name())
	if err != nil || !strings.HasPrefix(e.Name(), shard) || !e.Type().IsRegular() {
		return Info{}, ErrForeign
	}
	fi, err := e.Info()
	if err != nil {
		return Info{}, err
	}
	return Info{Digest: d, Class: c, Size: fi.Size()}, nil
}
