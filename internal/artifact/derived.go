package artifact

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path"

	"vitrine.example/internal/artifact/archive"
)

// CauseDerived is the digest of a file that was explained itself.
const CauseDerived archive.Cause = "derived-digest"

// derive notes the digests of two files of which the rebuilt one was explained:
// package formats list them (md5sums of Debian, datahash of Alpine).
func (s *session) derive(shipped, rebuilt blob) error {
	a, err := s.digests(shipped)
	if err != nil {
		return err
	}
	b, err := s.digests(rebuilt)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b {
		// Where one digest would stand for two, it stands for none.
		if old, twice := s.derived[b[i]]; twice && old != a[i] {
			s.derived[b[i]] = b[i]
			continue
		}
		s.derived[b[i]] = a[i]
	}
	return nil
}

func (s *session) digests(b blob) (out [2]string, err error) {
	m, h := md5.New(), sha256.New()
	_, err = io.Copy(io.MultiWriter(m, h), &live{s.ctx, io.NewSectionReader(b, 0, b.Size())})
	return [2]string{hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(h.Sum(nil))}, err
}

var hexDigest = lazily(`\b(?:[0-9a-f]{32}|[0-9a-f]{64})\b`)

// documented gives the causes that make the rebuilt text the shipped one: digests
// of what was explained, in files that list them, and dates in documents.
func (s *session) documented(p place, a, b []byte) []Cause {
	var all []Cause
	if base := path.Base(p.name); p.pol.System && (base == "md5sums" || base == ".PKGINFO") {
		c := Cause{Name: string(CauseDerived), Where: p.where, Proved: true, Proof: proofReplaced}
		s.mu.Lock()
		b = hexDigest().ReplaceAllFunc(b, func(old []byte) []byte {
			digest, ok := s.derived[string(old)]
			if !ok || digest == string(old) {
				return old
			}
			if c.Members++; c.Shipped == "" {
				c.Shipped, c.Rebuilt = digest, string(old)
			}
			return []byte(digest)
		})
		s.mu.Unlock()
		if c.Members > 0 {
			all = append(all, c)
		}
		if bytes.Equal(a, b) {
			return all
		}
	}
	if c, ok := dated(p, a, b); ok {
		return append(all, c)
	}
	return nil
}
