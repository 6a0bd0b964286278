// Package snapshot freezes source into one tar file, the same bytes each time.
//
// [Open] looks at a git repository, a directory or a tar file and says what it
// is; [Source.WriteTo] streams the snapshot. The same commit gives the same bytes in
// every clone on every machine, because the tar is written by rules that leave
// no choice (docs/spec/release.md, "Snapshot"): sorted names, one time, no
// owners, two modes. A tar file is taken as it is once it has been read to its
// end.
//
// Nothing is left out in silence. A link that leads out of the tree, a device,
// a name that cannot be written, a file that changes while it is read, an
// uncommitted change, a corrupt git object: each is refused by name. [OpenFile]
// gives other packages the same care for a single file.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Kind says what a snapshot was made from.
type Kind string

// The kinds of source.
const (
	Git       Kind = "git"       // the commit HEAD of a repository
	Directory Kind = "directory" // a tree of files
	Archive   Kind = "archive"   // a tar file, perhaps under gzip, taken as it is
)

// Errors that callers tell apart.
var (
	ErrChanged  = errors.New("changed while it was read")
	ErrTooLarge = errors.New("larger than a snapshot may be")
	ErrRefused  = errors.New("cannot be released")
	ErrDirty    = errors.New("the work tree differs from its commit")
)

// Bounds of a snapshot where [Limits] says nothing else.
const (
	MaxEntries = 1_000_000
	MaxBytes   = 64 << 30
	MaxPath    = 4096         // bytes of a name or of a link's target
	MaxTar     = 2 * MaxBytes // bytes of a snapshot: content, headers and padding
)

// Format names the rules by which a snapshot is written. Under one name the
// same commit always gives the same bytes.
const Format = "vitrine snapshot 1"

// Limits bounds what is read; a zero field means the package's bound.
type Limits struct {
	Entries int64 // files, links and directories
	Bytes   int64 // of all files; of an archive also of the unpacked stream
}

func (l Limits) orDefault() Limits {
	if l.Entries <= 0 {
		l.Entries = MaxEntries
	}
	if l.Bytes <= 0 {
		l.Bytes = MaxBytes
	}
	return l
}

// Source is something that a snapshot can be made of.
type Source interface {
	Kind() Kind
	// Commit is the object ID of a git commit, in hexadecimal; empty otherwise.
	Commit() string
	// WriteTo writes the snapshot. progress, where not nil, is told the bytes
	// of source read so far. After an error what w got is worthless.
	WriteTo(ctx context.Context, w io.Writer, progress func(done int64)) (Summary, error)
	// Total returns the bytes that progress will reach, -1 where unknown.
	Total() int64
}

// Summary counts what a snapshot holds.
type Summary struct {
	Entries int64 // files, links and empty directories
	Bytes   int64 // of their content
}

// Open looks at path and returns the source there. An empty kind is found out:
// a directory with .git in it (or a bare repository) is a git repository, any
// other directory a tree, a regular file an archive.
func Open(ctx context.Context, kind Kind, path string, lim Limits) (Source, error) {
	found, err := Detect(path)
	if err != nil {
		return nil, err
	}
	if kind == "" {
		kind = found
	}
	switch {
	case kind == Archive && found == Archive:
		return openArchive(path, lim.orDefault())
	case kind == Directory && found != Archive:
		return openDirectory(path, lim.orDefault())
	case kind == Git && found == Git:
		return openGit(ctx, path, lim.orDefault())
	case kind == Archive || kind == Directory || kind == Git:
		return nil, fmt.Errorf("source %q: looks like kind %s, not %s", path, found, kind)
	}
	return nil, fmt.Errorf("source %q: unknown kind %.40q: use git, directory or archive", path, kind)
}

// Detect says of what kind path looks.
func Detect(path string) (Kind, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("source: %w", err)
	case fi.Mode().IsRegular():
		return Archive, nil
	case !fi.IsDir():
		return "", fmt.Errorf("source %q is a %s: %w", path, typeName(fi.Mode()), ErrRefused)
	case exists(path, ".git"), exists(path, "HEAD") && exists(path, "objects") && exists(path, "refs"):
		return Git, nil
	}
	return Directory, nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// typeName says what a thing that is no regular file is.
func typeName(m os.FileMode) string {
	switch m.Type() {
	case 0:
		return "regular file"
	case os.ModeDir:
		return "directory"
	case os.ModeSymlink:
		return "symbolic link"
	case os.ModeNamedPipe:
		return "named pipe"
	case os.ModeSocket:
		return "socket"
	}
	return "device"
}
