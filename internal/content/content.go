// Package content keeps bytes under their digest, each with an access class.
//
// [Open] opens a directory; [Store.Put] streams bytes in and [Store.Open]
// streams them out. The hash is computed on the way in and checked again on
// the way out; a byte that changed on disk is an error, never a result. A file
// is visible under its digest only when it is whole and durable.
//
// The class is the directory: <class>/<first two digits>/<64 digits>. A digest
// is held under exactly one class, so that nothing private can be reached by a
// second, public name. What is found on the disk is not trusted: symbolic
// links and files that do not belong there are refused or reported, never
// followed. DESIGN.md tells how several processes share a store and why a
// crash cannot hurt it.
package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vitrine.example/digest"
)

// Errors that callers tell apart.
var (
	ErrUnknown  = errors.New("no such content")
	ErrConflict = errors.New("content is held under another access class")
	ErrTooLarge = errors.New("content is larger than allowed")
	ErrCorrupt  = errors.New("content does not match its digest")
	ErrFull     = errors.New("no space left on device")
	ErrForeign  = errors.New("not a part of the content store")
)

// Modes of what the store makes: nobody else reads it, and nobody changes it.
const (
	dirMode  = 0o700
	tempMode = 0o600
	fileMode = 0o400
)

// Store is a directory of content; several processes may use one at a time.
type Store struct {
	dir    string
	shards shardSet // whose entries in their class directory are durable
}

// Info describes stored content.
type Info struct {
	Digest digest.Digest
	Class  Class
	Size   int64 // bytes
}

// Open opens the store in dir, which is made where it is missing, and removes
// temporary files that a crash left. Those of living processes stay.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	if err := s.make(); err != nil {
		return nil, fmt.Errorf("opening content store: %w", explain(dir, err))
	}
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("cleaning content store: %w", explain(dir, err))
	}
	return s, nil
}

// OpenAsIs opens a store that is there to be looked at: it makes and removes
// nothing. Directories that are missing are reported by [Store.Walk].
func OpenAsIs(dir string) (*Store, error) {
	if err := wantDir(dir); err != nil {
		return nil, fmt.Errorf("opening content store: %w", explain(dir, err))
	}
	return &Store{dir: dir}, nil
}

// make makes the directories that are missing and refuses any that is not one.
func (s *Store) make() error {
	if err := os.MkdirAll(s.dir, dirMode); err != nil {
		return err
	}
	for _, d := range append(classDirs(), tempDir) {
		path := filepath.Join(s.dir, d)
		if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := wantDir(path); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(s.dir), syncDir(filepath.Dir(s.dir)))
}

// path is where d is under class c.
func (s *Store) path(c Class, d digest.Digest) string {
	name := d.String()
	return s.dir + "/" + string(c) + "/" + name[:2] + "/" + name // clean already, and often asked for
}

// shard is the directory of d under class c.
func (s *Store) shard(c Class, d digest.Digest) string {
	return filepath.Join(s.dir, string(c), d.String()[:2])
}
