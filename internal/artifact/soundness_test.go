package artifact_test

import (
	"archive/tar"
	"bytes"
	"fmt"

	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/artifact"
)

// harm makes an archive that could behave differently from the one of all. The
// bytes that come out are never what all gives.
type harm struct {
	name string
	do   func(t *rapid.T, all []file) []byte
}

// benign changes what no program looks at, so that the harm does not stand alone.
func benign(t *rapid.T, all []file) []file {
	out := slices.Clone(all)
	later := rapid.Bool().Draw(t, "later")
	for i := range out {
		if later {
			out[i].time = out[i].time.Add(time.Hour)
		}
	}
	return out
}

// edit gives an archive of a changed list.
func edited(change func(t *rapid.T, all []file) []file) func(*rapid.T, []file) []byte {
	return func(t *rapid.T, all []file) []byte { return tarOf(t, change(t, benign(t, all))) }
}

// reheaded changes a header of a regular member in place.
func reheaded(change func(h []byte)) func(*rapid.T, []file) []byte {
	return func(t *rapid.T, all []file) []byte {
		b := tarOf(t, benign(t, all))
		off := plainHeaders(b)
		i := rapid.IntRange(0, len(off)-1).Draw(t, "header")
		change(b[off[i] : off[i]+512])
		tarSum(b, off[i])
		return b
	}
}

func pickFile(t *rapid.T, all []file) *file {
	var at []int
	for i := range all {
		if all[i].kind == tar.TypeReg {
			at = append(at, i)
		}
	}
	return &all[rapid.SampledFrom(at).Draw(t, "file")]
}

var tarHarms = []harm{
	{"executable", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).mode ^= 0o111; return all })},
	{"setuid", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).mode |= 0o4000; return all })},
	{"setgid", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).mode |= 0o2000; return all })},
	{"sticky", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).mode |= 0o1000; return all })},
	{"writable for all", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).mode |= 0o002; return all })},
	{"owner of one", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).uid = 33; return all })},
	{"symlink for a file", edited(func(t *rapid.T, all []file) []file {
		f := pickFile(t, all)
		f.kind, f.link, f.body = tar.TypeSymlink, "/etc/passwd", ""
		return all
	})},
	{"another byte", edited(func(t *rapid.T, all []file) []file {
		f := pickFile(t, all)
		b := []byte(f.body)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1
		f.body = string(b)
		return all
	})},
	{"longer", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).body += "\x00"; return all })},
	{"another name", edited(func(t *rapid.T, all []file) []file { pickFile(t, all).name += "~"; return all })},
	{"one less", edited(func(t *rapid.T, all []file) []file { return all[1:] })},
	{"one more", edited(func(t *rapid.T, all []file) []file {
		return append(all, file{name: "dir/new", kind: tar.TypeReg, mode: 0o644, body: "x", time: day})
	})},
	{"twice, the last one counts", edited(func(t *rapid.T, all []file) []file {
		f := *pickFile(t, all)
		f.body += "!"
		return append(all, f)
	})},
	{"twice the same", edited(func(t *rapid.T, all []file) []file { return append(all, *pickFile(t, all)) })},
	{"link that others go through", edited(func(t *rapid.T, all []file) []file {
		return append([]file{{name: "dir", kind: tar.TypeSymlink, link: "/tmp", mode: 0o777, time: day}}, all...)
	})},
	{"device", reheaded(func(h []byte) { h[156] = '3'; copy(h[124:136], "00000000000\x00") })},
	{"type unknown", reheaded(func(h []byte) { h[156] = 'Z' })},
	{"hard link", reheaded(func(h []byte) { h[156] = '1'; copy(h[157:], "dir/f0") })},
	{"link target", reheaded(func(h []byte) { copy(h[157:], "dir/elsewhere") })},
	{"sparse", reheaded(func(h []byte) { h[156] = 'S' })},
	{"hidden behind the name", reheaded(func(h []byte) { h[99] ^= 1 })},
	{"device numbers", reheaded(func(h []byte) { copy(h[329:], "0000007\x00") })},
	{"dialect", reheaded(func(h []byte) { copy(h[257:], "ustar  \x00") })},
	{"hidden in the header", reheaded(func(h []byte) { h[505] = 1 })},
	{"pax path", paxed("path=dir/other")},
	{"pax link", paxed("linkpath=/etc/shadow")},
	{"pax size", paxed("size=1")},
	{"pax capability", paxed("SCHILY.xattr.security.capability=\x01\x00\x00\x02")},
	{"pax unknown", paxed("VENDOR.key=value")},
	{"pax sparse", paxed("GNU.sparse.major=1")},
	{"global pax", func(t *rapid.T, all []file) []byte {
		b := tarOf(t, benign(t, all))
		return append(extended('g', record("mode=0004755")), b...)
	}},
	{"behind the end", func(t *rapid.T, all []file) []byte {
		return append(tarOf(t, benign(t, all)), rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 900).Draw(t, "hidden")...)
	}},
	{"another tar behind the end", func(t *rapid.T, all []file) []byte {
		return append(tarOf(t, benign(t, all)), tarOf(t, all[:1])...)
	}},
	{"in the padding", func(t *rapid.T, all []file) []byte {
		b := tarOf(t, benign(t, all))
		for _, off := range headers(b) {
			if end := off + 512 + len(body(b, off)); end%512 != 0 {
				b[end] = 'x'
				return b
			}
		}
		return append(b, 'x')
	}},
	{"no end", func(t *rapid.T, all []file) []byte { b := tarOf(t, benign(t, all)); return b[:len(b)-1024] }},
	{"half an end", func(t *rapid.T, all []file) []byte { b := tarOf(t, benign(t, all)); return b[:len(b)-512] }},
	{"cut", func(t *rapid.T, all []file) []byte {
		b := tarOf(t, benign(t, all))
		return b[:rapid.IntRange(1, len(b)-1025).Draw(t, "cut")]
	}},
}

func body(b []byte, off int) []byte {
	all := headers(b[off:])
	if len(all) > 1 {
		end := off + all[1]
		trimmed := bytes.TrimRight(b[off+512:end], "\x00")
		return trimmed
	}
	return bytes.TrimRight(b[off+512:len(b)-1024], "\x00")
}

// paxed puts an extended header before a member.
func paxed(text string) func(*rapid.T, []file) []byte {
	return func(t *rapid.T, all []file) []byte {
		b := tarOf(t, benign(t, all))
		off := rapid.SampledFrom(headers(b)).Draw(t, "header")
		return slices.Concat(b[:off], extended('x', record(text)), b[off:])
	}
}

func record(text string) string {
	for n := len(text); ; n++ {
		if s := itoa(n) + " " + text + "\n"; len(s) == n {
			return s
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func extended(kind byte, data string) []byte {
	b := make([]byte, 512+(len(data)+511)/512*512)
	copy(b, "pax")
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", len(data)))
	copy(b[136:], "00000000000\x00")
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	copy(b[512:], data)
	tarSum(b, 0)
	return b
}

// TestNoHarmInATarIsExplained makes pairs of tars that could behave differently,
// bare and compressed, in both directions: none is identical or explained.
func TestNoHarmInATarIsExplained(t *testing.T) {
	r := newRoom(t)
	for _, h := range tarHarms {
		t.Run(h.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				all := someFiles(t)
				a, b := tarOf(t, all), h.do(t, all)
				if bytes.Equal(a, b) {
					return // such as a name that was full
				}
				if rapid.Bool().Draw(t, "gzip") {
					a, b = gzipOf(t, a, 9), gzipOf(t, b, rapid.IntRange(1, 9).Draw(t, "level"))
				}
				for _, p := range [][2][]byte{{a, b}, {b, a}} {
					if rep := r.compare(t, p[0], p[1]); rep.Verdict != artifact.Different || len(rep.Differences) == 0 {
						t.Fatalf("%s is %s: %+v", h.name, rep.Verdict, rep.Causes)
					}
				}
			})
		})
	}
}

var gzipHarms = map[string]func(t *rapid.T, b []byte) []byte{
	"second member":       func(t *rapid.T, b []byte) []byte { return append(b, gzipOf(t, []byte("hidden"), 6)...) },
	"empty second member": func(t *rapid.T, b []byte) []byte { return append(b, gzipOf(t, nil, 6)...) },
	"bytes behind":        func(t *rapid.T, b []byte) []byte { return append(b, "hidden"...) },
	"zero behind":         func(t *rapid.T, b []byte) []byte { return append(b, 0) },
	"cut":                 func(t *rapid.T, b []byte) []byte { return b[:rapid.IntRange(1, len(b)-1).Draw(t, "cut")] },
	"wrong checksum":      func(t *rapid.T, b []byte) []byte { b[len(b)-8] ^= 1; return b },
	"wrong length":        func(t *rapid.T, b []byte) []byte { b[len(b)-1] ^= 1; return b },
	"comment":             func(t *rapid.T, b []byte) []byte { b[3] = 16; return slices.Insert(b, 10, 'c', 0) },
	"extra field":         func(t *rapid.T, b []byte) []byte { b[3] = 4; return slices.Insert(b, 10, 4, 0, 'a', 'b', 0, 0) },
	"name elsewhere":      func(t *rapid.T, b []byte) []byte { b[3] = 8; return slices.Insert(b, 10, append([]byte("../x"), 0)...) },
	"text flag":           func(t *rapid.T, b []byte) []byte { b[3] = 1; return b },
	"reserved flag":       func(t *rapid.T, b []byte) []byte { b[3] = 0x40; return b },
}

func TestNoHarmInAGzipIsExplained(t *testing.T) {
	r := newRoom(t)
	for name, do := range gzipHarms {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				all := someFiles(t)
				content := tarOf(t, all)
				if rapid.Bool().Draw(t, "text") {
					content = []byte(strings.Repeat(all[0].body, 3))
				}
				a := gzipOf(t, content, 6)
				b := do(t, gzipOf(t, content, rapid.IntRange(1, 9).Draw(t, "level")))
				for _, p := range [][2][]byte{{a, b}, {b, a}} {
					if rep := r.compare(t, p[0], p[1]); rep.Verdict != artifact.Different || len(rep.Differences) == 0 {
						t.Fatalf("%s is %s: %+v", name, rep.Verdict, rep.Causes)
					}
				}
			})
		})
	}
}

// TestHarmlessTarsAreExplained is the other side: what differs by times, order of
// members, one owner throughout and the encoder is explained, and each cause named.
func TestHarmlessTarsAreExplained(t *testing.T) {
	r := newRoom(t)
	rapid.Check(t, func(t *rapid.T) {
		all := someFiles(t)
		other := slices.Clone(all)
		want := map[string]bool{}
		if rapid.Bool().Draw(t, "mtime") {
			want["mtime"] = true
			for i := range other {
				other[i].time = other[i].time.Add(time.Duration(rapid.IntRange(1, 1e6).Draw(t, "seconds")) * time.Second)
			}
		}
		if rapid.Bool().Draw(t, "owner") {
			want["owner"] = true
			for i := range other {
				other[i].uid = 1000
			}
		}
		if rapid.Bool().Draw(t, "order") && len(other) > 1 {
			want["order"] = true
			slices.Reverse(other)
		}
		a, b := gzipOf(t, tarOf(t, all), 9), gzipOf(t, tarOf(t, other), 6)
		rep := r.compare(t, a, b)
		if bytes.Equal(a, b) != (rep.Verdict == artifact.Identical) || rep.Verdict == artifact.Different {
			t.Fatalf("%s: %+v", rep.Verdict, rep.Differences)
		}
		for _, c := range rep.Causes {
			if !c.Proved {
				t.Fatalf("%s is not proved", c.Name)
			}
			delete(want, c.Name)
		}
		if len(want) > 0 {
			t.Fatalf("causes without a name: %v; got %+v", want, rep.Causes)
		}
	})
}
