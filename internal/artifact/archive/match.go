package archive

import (
	"path"
	"strings"
)

// Pair is a member that both archives have under one name.
type Pair struct{ A, B *Entry }

// SameContent reports whether the stored contents are the same bytes.
func (p Pair) SameContent() bool { return p.A.Size == p.B.Size && p.A.Sum == p.B.Sum }

// same reports whether nothing at all differs.
func (p Pair) same() bool {
	return p.SameContent() && p.A.frame == p.B.frame && p.A.tail == p.B.tail
}

// Matching is two archives, member by member. A is the shipped one, B the rebuilt.
type Matching struct {
	A, B         *Index
	Pairs        []Pair // in the order of A
	OnlyA, OnlyB []*Entry
	InOrder      bool // the pairs stand in B in the same order
}

// Match finds the members that two archives share. Where a name is there more
// than once, the first goes with the first, and so on.
func Match(a, b *Index) *Matching {
	m := &Matching{A: a, B: b, InOrder: true}
	at := make(map[string][]int32, len(b.Entries))
	for i := range b.Entries {
		at[b.Entries[i].Name] = append(at[b.Entries[i].Name], int32(i))
	}
	taken := make([]bool, len(b.Entries))
	last := int32(-1)
	for i := range a.Entries {
		e := &a.Entries[i]
		free := at[e.Name]
		if len(free) == 0 {
			m.OnlyA = append(m.OnlyA, e)
			continue
		}
		j := free[0]
		at[e.Name] = free[1:]
		taken[j] = true
		m.InOrder = m.InOrder && j > last
		last = j
		m.Pairs = append(m.Pairs, Pair{e, &b.Entries[j]})
	}
	for j := range b.Entries {
		if !taken[j] {
			m.OnlyB = append(m.OnlyB, &b.Entries[j])
		}
	}
	return m
}

// Equal reports whether the archives are the same bytes.
func (m *Matching) Equal() bool {
	if len(m.OnlyA)+len(m.OnlyB) > 0 || !m.InOrder || m.A.head != m.B.head || !sameEnd(m.A.end, m.B.end) {
		return false
	}
	for _, p := range m.Pairs {
		if !p.same() {
			return false
		}
	}
	return true
}

func sameEnd(a, b []part) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// tangled says why the order of members may matter, or nothing. Names that are
// the same after cleaning or under a file system without case, and links that
// other members go through, make the last or the first win.
func (x *Index) tangled() string {
	if x.Format == Ar {
		return "the order of an ar decides what is linked"
	}
	seen := make(map[string]bool, len(x.Entries))
	links := map[string]bool{}
	for i := range x.Entries {
		e := &x.Entries[i]
		name := folded(e.Name)
		if seen[name] {
			return "two members of the name " + quote(e.Name)
		}
		seen[name] = true
		switch e.Kind {
		case Symlink:
			links[name] = true
		case Hardlink:
			return "hard link " + quote(e.Name) + " needs its target before it"
		}
	}
	if len(links) == 0 {
		return ""
	}
	for name := range seen {
		for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if links[dir] {
				return "member " + quote(name) + " goes through a symbolic link"
			}
		}
	}
	return ""
}

func folded(name string) string { return strings.ToLower(path.Clean("/" + name)) }

// twins names a member that is there twice, which readers resolve differently.
func (x *Index) twins() string {
	seen := make(map[string]bool, len(x.Entries))
	for i := range x.Entries {
		if seen[x.Entries[i].Name] {
			return x.Entries[i].Name
		}
		seen[x.Entries[i].Name] = true
	}
	return ""
}
