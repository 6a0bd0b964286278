// Package backup writes and reads archives of a node's directory.
//
// [NewWriter] streams files into a gzip-compressed tar, [Writer.Close] ends it
// with a manifest; [Read] gives the files back. docs/spec/backup.md has the
// format. Which files a node has, package centre knows.
//
// Reading is strict: regular files with plain relative names, once each, and at
// the end a manifest that names exactly these, with their sizes and SHA-256, in
// their order. What put was given is known to be whole only when Read has returned
// without an error: keep it aside until then. The manifest finds damage, not
// malice: nobody signs an archive.
package backup

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Format is the first line of the first member.
const Format = "vitrine-backup-v1"

// Names of the first and the last member.
const (
	headerName   = "vitrine-backup"
	manifestName = "manifest"
)

// Bounds of what is read.
const (
	maxName   = 255
	maxHeader = 16 << 10
)

// Errors that callers tell apart.
var (
	// ErrFormat says that a file is no archive of a node, or a damaged one.
	ErrFormat = errors.New("this is no whole backup")
	// ErrTooLarge says that an archive has more than it may have.
	ErrTooLarge = errors.New("the backup is larger than allowed")
)

// Header tells whose archive it is. Nothing in it is authenticated.
type Header struct {
	Origin   string    `json:"origin"`
	Log      string    `json:"log"` // verifier key of the log
	At       time.Time `json:"at"`  // when it was begun
	Software string    `json:"software"`
	Keys     bool      `json:"keys"`     // private keys are in it
	Database string    `json:"database"` // "sqlite", or "postgres": not in it
}

// checkName refuses what is not a plain relative path. There is nothing else in
// a node's directory, so that names can be narrow.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return fmt.Errorf("%w: a name of %d bytes", ErrFormat, len(name))
	case path.IsAbs(name) || path.Clean(name) != name || name == "." || name == ".." || strings.HasPrefix(name, "../"):
		return fmt.Errorf("%w: %q is not a plain relative path", ErrFormat, name)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == ':' {
			return fmt.Errorf("%w: %q has a character that names do not have", ErrFormat, name)
		}
	}
	return nil
}

// line is a line of the manifest.
func line(sum []byte, size int64, name string) string {
	return fmt.Sprintf("%x %d %s\n", sum, size, name)
}
