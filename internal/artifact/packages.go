package artifact

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"

	"vitrine.example/internal/artifact/archive"
)

// isNpm reports whether a tar is a package of npm, which unpacks it with owners
// and permissions of its own, all but the right to execute.
func isNpm(x *archive.Index) bool {
	if x.Format != archive.Tar {
		return false
	}
	manifest := false
	for i := range x.Entries {
		name := x.Entries[i].Name
		if !strings.HasPrefix(name, "package/") {
			return false
		}
		manifest = manifest || name == "package/package.json"
	}
	return manifest
}

var modulePrefix = lazily(`^[^@]+@v[^/@]+/`)

// isModule reports whether a zip is that of a Go module.
func isModule(x *archive.Index) bool {
	if len(x.Entries) == 0 {
		return false
	}
	prefix := modulePrefix().FindString(x.Entries[0].Name)
	for i := range x.Entries {
		if prefix == "" || !strings.HasPrefix(x.Entries[i].Name, prefix) {
			return false
		}
	}
	return true
}

// module says the h1 of two module zips, which is all that the go command checks.
func (s *session) module(p place, m *archive.Matching, a, b source) error {
	if !isModule(m.A) || !isModule(m.B) {
		return nil
	}
	f := Fact{Where: p.where, Name: "h1 of the Go module"}
	err := s.both(func() (err error) { f.Shipped, err = s.h1(m.A, a.file); return },
		func() (err error) { f.Rebuilt, err = s.h1(m.B, b.file); return })
	if err != nil && (s.ctx.Err() != nil || !lookedInto(err)) {
		return err
	}
	if err != nil {
		s.skip(p.where, fmt.Errorf("no h1: %w", err))
		return nil
	}
	s.fact(f)
	return nil
}

func (s *session) h1(x *archive.Index, file *io.SectionReader) (string, error) {
	at := make(map[string]*archive.Entry, len(x.Entries))
	var names []string
	for i := range x.Entries {
		e := &x.Entries[i]
		if at[e.Name] != nil {
			return "", fmt.Errorf("two members of one name: %w", archive.ErrFormat)
		}
		at[e.Name] = e
		names = append(names, e.Name)
	}
	h, err := dirhash.Hash1(names, func(name string) (io.ReadCloser, error) {
		r, err := x.Content(s.ctx, file, at[name], s.o.Archive)
		return io.NopCloser(r), err
	})
	if err != nil && !lookedInto(err) && strings.Contains(err.Error(), "newlines") {
		err = fmt.Errorf("%v: %w", err, archive.ErrFormat)
	}
	return h, err
}

// isAPK reports whether two gzip files are packages of Alpine: tars in a row, one
// of which holds .PKGINFO.
func isAPK(f archive.Format, x, y []layer) bool {
	return f == archive.Gzip && pkginfo(x) && pkginfo(y)
}

func pkginfo(all []layer) bool {
	if len(all) < 2 || len(all) > 3 {
		return false
	}
	found := false
	for _, l := range all {
		if l.index == nil || l.index.Format != archive.Tar {
			return false
		}
		for i := range l.index.Entries {
			found = found || l.index.Entries[i].Name == ".PKGINFO"
		}
	}
	return found && (len(all) == 2 || signatures(all[0]))
}

// signatures reports whether a member holds nothing but signatures: regular
// files named .SIGN. in a tar without oddities.
func signatures(l layer) bool {
	for i := range l.index.Entries {
		e := &l.index.Entries[i]
		if !strings.HasPrefix(e.Name, ".SIGN.") || strings.Contains(e.Name, "/") || e.Kind != archive.File || e.Exec {
			return false
		}
	}
	return len(l.index.Entries) > 0 && len(l.index.Odd) == 0
}

// alpine compares two packages of Alpine. A signature that the vendor attached
// is a member of its own before the others.
func (s *session) alpine(p place, a, b blob, x, y []layer, ta, tb int64) (outcome, error) {
	out := outcome{verdict: Identical, rung: RungStream}
	if d, err := s.trailing(p, a, b, ta, tb); err != nil {
		return out, err
	} else if d != nil {
		out.diffs = append(out.diffs, *d)
	}
	p.pol.System = true
	sx, x := cutSignature(x)
	sy, y := cutSignature(y)
	eq := false
	if sx != nil && sy != nil {
		var err error
		if eq, err = same(s.ctx, wholeOf(a, sx), wholeOf(b, sy)); err != nil {
			return out, err
		}
	}
	switch {
	case eq:
	case sx != nil:
		c := Cause{Name: string(archive.CauseSigning), Where: p.where, Shipped: signers(sx), Rebuilt: signers(sy), Proved: true, Proof: proofAttached}
		out.causes = append(out.causes, c)
	case sy != nil:
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "signature", Rebuilt: signers(sy)})
	}
	// The data first: the control says its digest.
	for _, i := range []int{1, 0} {
		one, err := s.pairOfLayers(archive.Gzip, p, [...]string{"control", "data"}[i], a, b, x[i], y[i], i)
		if err != nil {
			return out, err
		}
		if one.verdict == Explained {
			if err := s.derive(wholeOf(a, &x[i]), wholeOf(b, &y[i])); err != nil {
				return out, err
			}
		}
		out.join(one)
	}
	return out.settled(), nil
}

// wholeOf is a member of a gzip file with header and checksum.
func wholeOf(b blob, l *layer) blob {
	m := l.member
	return blob{io.NewSectionReader(b, m.Off, m.StoredAt+m.Stored+8-m.Off), b.name}
}

func cutSignature(all []layer) (*layer, []layer) {
	if len(all) == 3 {
		return &all[0], all[1:]
	}
	return nil, all
}

func signers(l *layer) string {
	if l == nil {
		return "none"
	}
	var names []string
	for i := range l.index.Entries {
		names = append(names, l.index.Entries[i].Name)
	}
	return strings.Join(names, ", ")
}
