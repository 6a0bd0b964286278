package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"vitrine.example/digest"
)

// Stat returns [ErrUnknown] where d is not stored, and [ErrConflict] where it
// is found under two classes, which only a hand from outside can bring about.
// The content is not read.
func (s *Store) Stat(d digest.Digest) (Info, error) {
	in, err := s.find(d)
	if err != nil {
		// It may have been on its way from one class to another.
		lerr := s.quietly(func() error {
			in, err = s.find(d)
			return nil
		})
		if lerr != nil {
			err = lerr
		}
	}
	if err != nil {
		return Info{}, fmt.Errorf("content %s: %w", d, err)
	}
	return in, nil
}

// find looks under every class. Its answer is exact under the lock.
func (s *Store) find(d digest.Digest) (Info, error) {
	var found []Info
	for _, c := range Classes() {
		fi, err := os.Lstat(s.path(c, d))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return Info{}, err
		}
		if !fi.Mode().IsRegular() {
			return Info{}, foreign(s.path(c, d), fi)
		}
		if err := wantDir(s.shard(c, d)); err != nil {
			return Info{}, err
		}
		found = append(found, Info{Digest: d, Class: c, Size: fi.Size()})
	}
	switch len(found) {
	case 0:
		return Info{}, ErrUnknown
	case 1:
		return found[0], nil
	}
	return Info{}, fmt.Errorf("%w as well: it is under %s and under %s: remove one of the two", ErrConflict, found[0].Class, found[1].Class)
}
