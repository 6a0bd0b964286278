// Package sbom lists what a file was built from, as far as the file itself says.
//
// [Go] reads the build information that the Go linker leaves in ELF, Mach-O and
// PE binaries and writes it as CycloneDX 1.6 in JSON: main module, every module
// that was linked in with what replaced it, the Go release, the build settings.
// The same file gives the same bytes at any time on any machine, so that anybody
// can make the SBOM of a shipped file again and compare.
//
// What is not promised: the list is what the linker recorded. C libraries, code
// copied into a module, and a forged record are not seen.
package sbom

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"vitrine.example/digest"
)

// MediaType is the media type of what [Go] returns.
const MediaType = "application/vnd.cyclonedx+json"

// MaxSize bounds an SBOM in bytes.
const MaxSize = 16 << 20

// ErrNone says that a file holds no build information that can be read.
var ErrNone = errors.New("no build information of Go")

// Go returns the SBOM of the Go binary in r, whose digest is d, or [ErrNone]
// where r is something else. An error of r itself is returned as it is.
func Go(r io.ReaderAt, d digest.Digest) ([]byte, error) {
	info, err := read(r)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(lay(info, d)); err != nil {
		return nil, fmt.Errorf("writing sbom: %w", err)
	}
	if out.Len() > MaxSize {
		return nil, fmt.Errorf("sbom of %d bytes, of at most %d", out.Len(), MaxSize)
	}
	return out.Bytes(), nil
}

// read returns the build information in r. The readers of the standard library
// are not hardened against hostile files: a panic there means [ErrNone].
func read(r io.ReaderAt) (info *debug.BuildInfo, err error) {
	at := &faithful{r: r}
	defer func() {
		if p := recover(); p != nil {
			info, err = nil, fmt.Errorf("%w: the file is malformed: %v", ErrNone, p)
		}
	}()
	info, err = buildinfo.Read(at)
	if at.err != nil {
		return nil, at.err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return info, nil
}

// faithful remembers that reading failed, as the parsers take that for a file
// of another format.
type faithful struct {
	r   io.ReaderAt
	err error
}

func (f *faithful) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) && off >= 0 {
		f.err = cmp.Or(f.err, err)
	}
	return n, err
}
