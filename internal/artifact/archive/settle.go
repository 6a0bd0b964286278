package archive

import (
	"bytes"
	"fmt"
	"strings"
)

// Policy says what reads the archive, which decides what is harmless in it.
type Policy struct {
	// System says that a package manager unpacks it as root: owners and all
	// permissions count.
	System bool
	// Reset says that what unpacks it gives owners and permissions of its own,
	// all but the right to execute (npm).
	Reset bool
}

// Found is a cause, and how many members have it.
type Found struct {
	Cause            Cause
	Members          int
	Example          string
	Shipped, Rebuilt string
	// Proved says that setting it gave the shipped bytes, in all these members.
	Proved bool
}

// MemberDelta is a difference of one member that no cause explains.
type MemberDelta struct {
	Member string
	Delta
}

// Settlement is what comes out of comparing two archives.
type Settlement struct {
	Causes      []Found
	Differences []MemberDelta
	// Proved says that the rebuilt archive, with the causes set, is the shipped
	// one: every frame was patched and had the shipped bytes.
	Proved bool
}

// settling is a Settle under way.
type settling struct {
	m     *Matching
	pol   Policy
	out   Settlement
	found map[Cause]int // place in out.Causes
	odd   bool
}

// Settle compares all that is not content. proven says of a pair whose contents
// differ that its rebuilt content becomes the shipped one by causes that were
// proven apart.
func (m *Matching) Settle(pol Policy, proven func(Pair) bool) Settlement {
	s := &settling{m: m, pol: pol, found: map[Cause]int{}, odd: len(m.A.Odd)+len(m.B.Odd) > 0}
	if t := m.A.twins(); t != "" {
		s.odd = true
	}
	allowed := s.allowed()
	s.members()
	s.oddities()
	s.order()
	whole := len(s.out.Differences) == 0
	for _, p := range m.Pairs {
		ok := p.SameContent() || proven(p)
		if p.A.frame == p.B.frame && p.A.tail == p.B.tail {
			whole = whole && ok
			continue
		}
		whole = s.pair(p, allowed, ok) && whole && ok
	}
	if m.A.head != m.B.head {
		s.differ("", "bytes before the first member", sizeText(m.A.head), sizeText(m.B.head))
	}
	s.ends()
	s.out.Proved = whole && len(s.out.Differences) == 0
	return s.out
}

func sizeText(p packed) string { return fmt.Sprintf("%d bytes", len(p.bytes())) }

func (s *settling) differ(member, field, a, b string) {
	s.out.Differences = append(s.out.Differences, MemberDelta{member, Delta{Field: field, Shipped: a, Rebuilt: b}})
}

func (s *settling) cause(c Cause, member, a, b string) *Found {
	i, ok := s.found[c]
	if !ok {
		i = len(s.out.Causes)
		s.found[c] = i
		s.out.Causes = append(s.out.Causes, Found{Cause: c, Example: member, Shipped: a, Rebuilt: b, Proved: true})
	}
	s.out.Causes[i].Members++
	return &s.out.Causes[i]
}

func (s *settling) members() {
	for _, e := range s.m.OnlyA {
		s.differ(e.Name, "member", describe(e), "")
	}
	for _, e := range s.m.OnlyB {
		s.differ(e.Name, "member", "", describe(e))
	}
}

func describe(e *Entry) string { return fmt.Sprintf("%s, %d bytes", e.Kind, e.Size) }

// oddities are shown where they are of one archive alone. Where both have the
// same, the archives may still be identical, but nothing is explained.
func (s *settling) oddities() {
	a, b := map[string]bool{}, map[string]bool{}
	for _, o := range s.m.A.Odd {
		a[o] = true
	}
	for _, o := range s.m.B.Odd {
		b[o] = true
		if !a[o] {
			s.differ("", "oddity", "", o)
		}
	}
	for _, o := range s.m.A.Odd {
		if !b[o] {
			s.differ("", "oddity", o, "")
		}
	}
}

func (s *settling) order() {
	if s.m.InOrder {
		return
	}
	why := s.m.A.tangled()
	if why == "" {
		why = s.m.B.tangled()
	}
	if why == "" {
		why = s.m.leading()
	}
	a, b := s.m.firstMoved()
	if why != "" || s.odd {
		s.differ("", "order", a, b)
		return
	}
	s.cause(CauseOrder, a, a, b)
}

// leading says whether a member moved that readers ask to come first: the
// manifest of a jar, the mimetype of a document.
func (m *Matching) leading() string {
	if m.A.Format != Zip {
		return ""
	}
	for i := range min(2, len(m.A.Entries), len(m.B.Entries)) {
		a, b := m.A.Entries[i].Name, m.B.Entries[i].Name
		for _, n := range []string{a, b} {
			if a != b && (n == "mimetype" || strings.HasPrefix(n, "META-INF/")) {
				return quote(n) + " must come first"
			}
		}
	}
	return ""
}

func (m *Matching) firstMoved() (a, b string) {
	last := make(map[*Entry]bool, len(m.OnlyB))
	for _, e := range m.OnlyB {
		last[e] = true
	}
	i := 0
	for _, p := range m.Pairs {
		for i < len(m.B.Entries) && last[&m.B.Entries[i]] {
			i++
		}
		if i < len(m.B.Entries) && p.B != &m.B.Entries[i] {
			return p.A.Name, m.B.Entries[i].Name
		}
		i++
	}
	return "", ""
}

// pair compares two frames and reports whether the patched one has the shipped bytes.
func (s *settling) pair(p Pair, allowed map[Cause]bool, content bool) bool {
	all, err := s.m.A.form.compare(p.A, p.B)
	if err != nil {
		s.differ(p.A.Name, "header", err.Error(), "")
		return false
	}
	set := map[Cause]bool{causeContent: content}
	fine := true
	for _, d := range all {
		switch {
		case d.Cause == causeContent && content:
		case d.Cause == causeContent && !p.SameContent():
			fine = false // the difference of the content says it
		case d.Cause == "" || !allowed[d.Cause] || s.odd:
			s.out.Differences = append(s.out.Differences, MemberDelta{p.A.Name, d})
			fine = false
		default:
			set[d.Cause] = true
		}
	}
	if !fine {
		s.name(p, all, set, false)
		return false
	}
	frame, tail, err := s.m.A.form.patch(p.A, p.B, set)
	if err != nil || !bytes.Equal(frame, p.A.frame.bytes()) || !bytes.Equal(tail, p.A.tail.bytes()) {
		s.differ(p.A.Name, "header", firstOther(p.A, p.B), firstOther(p.B, p.A))
		return false
	}
	s.name(p, all, set, true)
	return true
}

// name counts the causes of a pair.
func (s *settling) name(p Pair, all []Delta, set map[Cause]bool, proved bool) {
	counted := map[Cause]bool{causeContent: true}
	for _, d := range all {
		if !counted[d.Cause] && set[d.Cause] {
			counted[d.Cause] = true
			f := s.cause(d.Cause, p.A.Name, d.Shipped, d.Rebuilt)
			f.Proved = f.Proved && proved
		}
	}
}

// ends compares what follows the members, part by part. A signature that the
// shipped archive alone has is attached to the rebuilt one.
func (s *settling) ends() {
	b := map[string]part{}
	for _, p := range s.m.B.end {
		b[p.name] = p
	}
	for _, p := range s.m.A.end {
		q, both := b[p.name]
		delete(b, p.name)
		fine := p.harmless != "" && !s.odd && (both && p.harmless == q.harmless || !both && p.harmless == CauseSigning)
		switch {
		case both && p == q:
		case fine && both:
			s.cause(p.harmless, "", partText(p), partText(q))
		case fine:
			s.cause(p.harmless, "", partText(p), "none")
		case both:
			s.differ("", p.name, partText(p), partText(q))
		default:
			s.differ("", p.name, partText(p), "")
		}
	}
	for _, q := range s.m.B.end {
		if _, left := b[q.name]; left {
			s.differ("", q.name, "", partText(q))
		}
	}
}

func partText(p part) string {
	text := fmt.Sprintf("%d bytes", p.size)
	if p.note != "" {
		text += ", " + p.note
	}
	return text
}

// allowed says which causes count in these archives.
//
// An owner is harmless where what unpacks the archive does not use it, or where
// each archive has one owner throughout, who is then whoever packed it, and
// nothing in it changes identity. Of a system package it never is.
func (s *settling) allowed() map[Cause]bool {
	ok := map[Cause]bool{
		CauseTime: true, CausePax: true, CauseInode: true, CausePadding: true, CauseEncoder: true,
		CauseUmask: !s.pol.System,
	}
	ok[CauseOwner] = s.pol.Reset || s.m.A.Format == Ar || s.m.A.Format == Zip ||
		!s.pol.System && s.m.A.oneOwner() && s.m.B.oneOwner()
	return ok
}

// oneOwner reports whether all members have one owner and none has special rights.
func (x *Index) oneOwner() bool {
	first := ""
	for i := range x.Entries {
		if x.Format != Tar {
			return false
		}
		h, err := parseTar(x.Entries[i].frame.bytes())
		if err != nil || h.mode&0o7000 != 0 {
			return false
		}
		if i == 0 {
			first = h.owner()
		} else if h.owner() != first {
			return false
		}
	}
	return true
}
