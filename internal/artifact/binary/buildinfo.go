package binary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// goInfo is the build information of a Go program as it lies in the file
// (debug/buildinfo; written inline since Go 1.18).
type goInfo struct {
	off     int64 // of the version's length in the file
	raw     []byte
	version string
	mod     string // with the sentinels around it
}

var (
	infoMagic = []byte("\xff Go buildinf:")
	infoStart = "\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"
	infoEnd   = "\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2"
)

// goInfo finds the build information: in its own section, or at the start of
// the data.
func (m *image) goInfo() (info goInfo, ok bool) {
	for i := range m.regions {
		r := &m.regions[i]
		own := strings.HasSuffix(r.name, "go.buildinfo") || strings.HasSuffix(r.name, "__go_buildinfo")
		if !own && (m.format != "pe" || r.kind != kindData) {
			continue
		}
		d := m.data(r)
		at := bytes.Index(d[:min(len(d), 1<<20)], infoMagic)
		if at < 0 || at+32 > len(d) || d[at+15]&2 == 0 {
			continue
		}
		p := at + 32
		var parts [2]string
		for k := range parts {
			n, w := binary.Uvarint(d[p:])
			if w <= 0 || n > uint64(len(d)-p-w) || n > 1<<20 {
				return info, false
			}
			parts[k] = string(d[p+w : p+w+int(n)])
			p += w + int(n)
		}
		return goInfo{off: r.off + int64(at) + 32, raw: d[at+32 : p], version: parts[0], mod: parts[1]}, true
	}
	return info, false
}

// benignInfo reports whether two texts say the same of everything that is
// built into the program: only how and from which commit it was built differs.
// It returns the settings that differ.
func benignInfo(a, b string) (settings []string, ok bool) {
	fixed := func(text string) (rest []string, free map[string]string, ok bool) {
		free = map[string]string{}
		text, ok1 := strings.CutPrefix(text, infoStart)
		text, ok2 := strings.CutSuffix(text, infoEnd)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if !printable([]byte(strings.ReplaceAll(line, "\t", " "))) && len(line) > 0 {
				return nil, nil, false
			}
			switch {
			case strings.HasPrefix(line, "build\t"):
				key, value, _ := strings.Cut(line[len("build\t"):], "=")
				if !freeSetting(key) {
					rest = append(rest, line)
				}
				free[key] = value
			case strings.HasPrefix(line, "mod\t"):
				name, version, _ := strings.Cut(line[len("mod\t"):], "\t")
				rest = append(rest, "mod\t"+name)
				free["version of the module"] = version
			default:
				rest = append(rest, line)
			}
		}
		return rest, free, ok1 && ok2
	}
	ra, fa, oka := fixed(a)
	rb, fb, okb := fixed(b)
	if !oka || !okb {
		return nil, false
	}
	for key, v := range fa {
		if w, both := fb[key]; !both || w != v {
			settings = append(settings, key)
		}
	}
	for key := range fb {
		if _, both := fa[key]; !both {
			settings = append(settings, key)
		}
	}
	slices.Sort(settings)
	return settings, slices.Equal(ra, rb)
}

// freeSetting reports a setting that says how the program was built and where
// from, and that the program's code does not depend on.
func freeSetting(key string) bool {
	switch key {
	case "vcs", "vcs.revision", "vcs.time", "vcs.modified", "-trimpath", "-ldflags", "-buildvcs", "-p", "-v":
		return true
	}
	return false
}

// goBuildInfo replaces the build information, and the program's own copy of
// it, where both have the same length.
func (p *prover) goBuildInfo() {
	ia, ok1 := p.a.goInfo()
	ib, ok2 := p.b.goInfo()
	if !ok1 || !ok2 || ia.version == ib.version && ia.mod == ib.mod {
		return
	}
	settings, benign := benignInfo(ia.mod, ib.mod)
	detail := fmt.Sprintf("%s differ", strings.Join(settings, ", "))
	switch {
	case ia.version != ib.version:
		benign, detail = false, "made with "+versus(ia.version, ib.version)
	case !benign:
		detail = "other modules or settings went into the program: " + detail
	case len(ia.raw) != len(ib.raw) || len(ia.mod) != len(ib.mod) || ia.off != ib.off:
		benign, detail = false, detail+"; of other length, so everything behind it moved"
	}
	covers := []extent{{ia.off, int64(len(ia.raw))}}
	if benign {
		out := p.writable()
		copy(out[ib.off:], ia.raw)
		// runtime.modinfo is a second copy, for the program itself.
		for at := 0; ; {
			i := bytes.Index(out[at:], []byte(ib.mod))
			if i < 0 || len(ib.mod) < len(infoStart) {
				break
			}
			at += i
			copy(out[at:], ia.mod)
			covers = append(covers, extent{int64(at), int64(len(ia.mod))})
			at += len(ib.mod)
		}
	}
	p.cause(CauseBuildInfo, "build info", benign, detail, covers...)
}

// goPaths replaces the directory that the program was built in, in pclntab's
// table of files: one directory by one of the same length, in all files below it.
func (p *prover) goPaths() {
	p.b.gotab = nil // it may lie in a copy of the file by now
	p.a.findPclntab()
	p.b.findPclntab()
	ta, tb := p.a.gotab, p.b.gotab
	const many = 1 << 20
	if ta == nil || tb == nil || bytes.Equal(ta.files, tb.files) || bytes.Count(ta.files, []byte{0}) > many || bytes.Count(tb.files, []byte{0}) > many {
		return
	}
	fa, fb := bytes.Split(ta.files, []byte{0}), bytes.Split(tb.files, []byte{0})
	dirA, dirB, ok := oneDirectory(fa, fb)
	if dirA == "" {
		return
	}
	where := "pclntab"
	if !ok || len(dirA) != len(dirB) {
		p.cause(CausePath, where, false, versus(dirA, dirB)+"; not of one length in all files, so everything behind it moved")
		return
	}
	at := fileOffset(p.b, tb)
	if at < 0 || fileOffset(p.a, ta) != at {
		p.cause(CausePath, where, false, versus(dirA, dirB)+"; the tables lie elsewhere")
		return
	}
	p.edit(at, ta.files)
	p.cause(CausePath, where, true, versus(dirA, dirB), extent{at, int64(len(ta.files))})
}

// fileOffset returns where the table of files lies in the file.
func fileOffset(m *image, t *pclntab) int64 {
	r := m.at(t.addr)
	if r == nil {
		return -1
	}
	return r.off + int64(t.addr-r.addr) + int64(len(t.data)-len(t.funcs)-len(t.pcs)-len(t.files))
}

// oneDirectory finds the two directories by which two lists of files differ.
// It is ok only if replacing one by the other turns one list into the other.
func oneDirectory(fa, fb [][]byte) (dirA, dirB string, ok bool) {
	if len(fa) != len(fb) {
		return "", "", false
	}
	for i := range fa {
		if dirA == "" && !bytes.Equal(fa[i], fb[i]) {
			dirA, dirB = cutCommonEnd(string(fa[i]), string(fb[i]))
		}
	}
	if !strings.HasPrefix(dirA, "/") || !strings.HasPrefix(dirB, "/") || !printable([]byte(dirA)) {
		return dirA, dirB, false
	}
	for i := range fa {
		want := string(fb[i])
		if rest, below := strings.CutPrefix(want, dirB+"/"); below {
			want = dirA + "/" + rest
		}
		if string(fa[i]) != want {
			return dirA, dirB, false
		}
	}
	return dirA, dirB, true
}

// cutCommonEnd cuts the elements that two paths have in common at their ends.
func cutCommonEnd(a, b string) (string, string) {
	for {
		i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
		if i <= 0 || j <= 0 || a[i:] != b[j:] {
			return a, b
		}
		a, b = a[:i], b[:j]
	}
}
