// Package archive reads archives and compressed streams as they are written,
// byte for byte, and says whether the bytes of a rebuilt one become those of the
// shipped one when harmless fields are set.
//
// An [Index] cuts an archive into frames and contents without a gap: the frames
// (headers, padding, directories) are kept as they stand, of the contents the
// SHA-256. So two indexes are equal exactly where the archives are.
// [Index.Settle] compares two of them: it names what differs, and where all of it
// is harmless it patches the rebuilt frames and asks for the shipped bytes. What
// a patch may touch is a short list in each format; a mode, a type, a link, a
// trailing byte is never on it.
//
// Promises: nothing is written anywhere, no name in an archive is opened, every
// count, size, ratio and depth has a bound ([Limits]), and what readers in the
// field would read in two ways ([Index.Odd]) is never explained.
package archive

import (
	"errors"
	"fmt"
)

// Errors of this package; each comes with what was read and where.
var (
	// ErrFormat says that bytes are not what their format asks for.
	ErrFormat = errors.New("malformed")
	// ErrBound says that a bound of [Limits] was reached.
	ErrBound = errors.New("over the bound")
)

// Format is what a file is, by its content.
type Format string

// The formats that this package reads.
const (
	Plain Format = "plain"
	Gzip  Format = "gzip"
	XZ    Format = "xz"
	Zstd  Format = "zstd"
	Bzip2 Format = "bzip2"
	Tar   Format = "tar"
	Zip   Format = "zip"
	Ar    Format = "ar"
	Cpio  Format = "cpio"
	RPM   Format = "rpm"
)

// Limits bound what is read. Zero means the default.
type Limits struct {
	Members int   // members of one archive; default 200,000
	Frame   int   // bytes of one header with all that belongs to it; default 1 MiB
	Inflate int64 // bytes out of one compressed stream; default 16 GiB
	Ratio   int64 // times that a stream may grow beyond its first 64 MiB; default 250
}

// Complete puts in the defaults.
func (l Limits) Complete() Limits {
	if l.Members == 0 {
		l.Members = 200_000
	}
	if l.Frame == 0 {
		l.Frame = 1 << 20
	}
	if l.Inflate == 0 {
		l.Inflate = 16 << 30
	}
	if l.Ratio == 0 {
		l.Ratio = 250
	}
	return l
}

// freeRatio is how much a stream may give before its ratio is looked at.
const freeRatio = 64 << 20

// Kind is the type of a member.
type Kind string

// The kinds of members.
const (
	File      Kind = "file"
	Directory Kind = "directory"
	Symlink   Kind = "symlink"
	Hardlink  Kind = "hard link"
	CharDev   Kind = "character device"
	BlockDev  Kind = "block device"
	Fifo      Kind = "fifo"
	Socket    Kind = "socket"
	Sparse    Kind = "sparse file"
	Global    Kind = "global header"
	Other     Kind = "unknown type"
)

// Entry is one member.
type Entry struct {
	Name string // as written; never a path to open
	Kind Kind
	Exec bool     // somebody may execute it
	Off  int64    // of the content in the archive
	Size int64    // of the content as stored
	Sum  [32]byte // SHA-256 of the content as stored

	frame packed // what stands before the content and belongs to it
	tail  packed // what stands after it: padding, a descriptor, its line in the directory
}

// Index is an archive, cut into frames and contents.
type Index struct {
	Format  Format
	Entries []Entry
	// Odd lists what readers in the field read in different ways. An archive
	// with an oddity is identical to another or different from it, never explained.
	Odd []string

	form form
	head packed // before the first member
	end  []part // after the last
}

// part is a named stretch of the end of an archive.
type part struct {
	name string
	note string   // what people should see of it
	sum  [32]byte // SHA-256 of its bytes, where they are not zeros
	size int64
	// harmless names the cause that may set it to the shipped bytes.
	harmless Cause
}

// form is what one format knows of its frames.
type form interface {
	// compare names the fields in which two frames differ.
	compare(a, b *Entry) ([]Delta, error)
	// patch sets the fields that the causes stand for in b's frames to a's
	// values and computes what follows from them.
	patch(a, b *Entry, set map[Cause]bool) (frame, tail []byte, err error)
}

// Cause is why bytes differ without a difference in what they do.
type Cause string

// The causes that frames may have.
const (
	CauseTime    Cause = "mtime"        // times of members
	CauseOwner   Cause = "owner"        // user and group, by number and name
	CauseUmask   Cause = "umask"        // group's permission to write
	CauseOrder   Cause = "order"        // of members
	CausePadding Cause = "padding"      // zeros after the end of a tar
	CausePax     Cause = "pax-name"     // the name that an extended header itself bears
	CauseInode   Cause = "inode"        // numbers of inodes and of the device in a cpio
	CauseEncoder Cause = "encoder"      // another encoder wrote the compressed bytes
	CauseSigning Cause = "signature"    // a signature that the vendor attached
	CauseHeader  Cause = "gzip-header"  // name, time, system, level hint in a gzip header
	CauseBuild   Cause = "build-record" // when and on which host a package was built
)

// Delta is one field in which two members differ.
type Delta struct {
	Field            string
	Shipped, Rebuilt string
	Cause            Cause // that may explain it; empty: none may
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func bound(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBound, fmt.Sprintf(format, args...))
}
