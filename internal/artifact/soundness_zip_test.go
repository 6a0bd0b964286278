package artifact_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/artifact"
)

var le = binary.LittleEndian

// zipEnd is the offset of the end record of a zip without a comment.
func zipEnd(b []byte) int { return len(b) - 22 }

// zipDir is where the directory of a zip begins.
func zipDir(b []byte) int { return int(le.Uint32(b[zipEnd(b)+16:])) }

// inserted puts bytes into a zip before the directory, and says so in the end record.
func inserted(b []byte, at int, data []byte) []byte {
	end, dir := zipEnd(b), zipDir(b)
	out := slices.Concat(b[:at], data, b[at:])
	le.PutUint32(out[end+len(data)+16:], uint32(dir+len(data)))
	return out
}

// rezipped makes a zip of what all becomes, and changes its bytes.
func rezipped(change func(t *rapid.T, b []byte) []byte) func(*rapid.T, []file) []byte {
	return func(t *rapid.T, all []file) []byte { return change(t, zipOf(t, benign(t, all), "")) }
}

// inLine changes a line of the directory in place.
func inLine(change func(c []byte)) func(*rapid.T, []file) []byte {
	return rezipped(func(t *rapid.T, b []byte) []byte { change(b[zipDir(b):]); return b })
}

// inBoth changes the first local header and its line.
func inBoth(at int, change func(field []byte)) func(*rapid.T, []file) []byte {
	return rezipped(func(t *rapid.T, b []byte) []byte {
		change(b[at:])
		change(b[zipDir(b)+at+2:])
		return b
	})
}

var zipHarms = []harm{
	{"executable", zipped(func(t *rapid.T, all []file) []file { pickFile(t, all).mode ^= 0o111; return all })},
	{"world", zipped(func(t *rapid.T, all []file) []file { pickFile(t, all).mode |= 0o002; return all })},
	{"setuid", inLine(func(c []byte) { c[41] |= 0x08 })},
	{"symlink for a file", zipped(func(t *rapid.T, all []file) []file {
		f := pickFile(t, all)
		f.kind, f.link = tar.TypeSymlink, f.body
		return all
	})},
	{"another byte", zipped(func(t *rapid.T, all []file) []file {
		f := pickFile(t, all)
		b := []byte(f.body)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1
		f.body = string(b)
		return all
	})},
	{"another name", zipped(func(t *rapid.T, all []file) []file { pickFile(t, all).name += "~"; return all })},
	{"one less", zipped(func(t *rapid.T, all []file) []file { return all[1:] })},
	{"twice", zipped(func(t *rapid.T, all []file) []file {
		f := *pickFile(t, all)
		f.body += "!"
		return append(all, f)
	})},
	{"comment", func(t *rapid.T, all []file) []byte { return zipOf(t, benign(t, all), "hello") }},
	{"another end record in the comment", func(t *rapid.T, all []file) []byte {
		return zipOf(t, benign(t, all), "PK\x05\x06"+string(make([]byte, 18)))
	}},
	{"prefix", rezipped(func(t *rapid.T, b []byte) []byte { return append([]byte("#!/bin/sh\nrm -rf /\n"), b...) })},
	{"prefix that is counted", rezipped(func(t *rapid.T, b []byte) []byte {
		head := []byte("#!/bin/sh\nexit\n")
		dir := zipDir(b)
		for at := dir; at < zipEnd(b); at += 46 + int(le.Uint16(b[at+28:])) + int(le.Uint16(b[at+30:])) {
			le.PutUint32(b[at+42:], le.Uint32(b[at+42:])+uint32(len(head)))
		}
		return inserted(b, 0, head)
	})},
	{"behind the end", rezipped(func(t *rapid.T, b []byte) []byte { return append(b, 'x') })},
	{"before the directory", rezipped(func(t *rapid.T, b []byte) []byte { return inserted(b, zipDir(b), []byte("hidden")) })},
	{"a member that the directory hides", rezipped(func(t *rapid.T, b []byte) []byte {
		return inserted(b, zipDir(b), b[:zipDir(b)])
	})},
	{"signing block with a block unknown", rezipped(func(t *rapid.T, b []byte) []byte { return inserted(b, zipDir(b), signingBlock(0x12345678)) })},
	{"name in the header alone", rezipped(func(t *rapid.T, b []byte) []byte { b[30] ^= 1; return b })},
	{"name in the directory alone", inLine(func(c []byte) { c[46] ^= 1 })},
	{"size in the directory", inLine(func(c []byte) { c[24]++ })},
	{"compressed size in the directory", inLine(func(c []byte) { c[20]-- })},
	{"checksum in the directory", inLine(func(c []byte) { c[16]++ })},
	{"method in the directory", inLine(func(c []byte) { c[10] ^= 8 })},
	{"offset in the directory", inLine(func(c []byte) { c[42]++ })},
	{"time in the directory alone", inLine(func(c []byte) { c[12] ^= 1 })},
	{"made by", inLine(func(c []byte) { c[5] ^= 1 })},
	{"attributes of MS-DOS", inLine(func(c []byte) { c[38] ^= 2 })},
	{"internal attributes", inLine(func(c []byte) { c[36] ^= 1 })},
	{"encrypted", inBoth(6, func(f []byte) { f[0] |= 1 })},
	{"method", inBoth(8, func(f []byte) { f[0] = 12 })},
	{"names in another code", inBoth(6, func(f []byte) { f[1] ^= 8 })},
	{"disk", inLine(func(c []byte) { c[34] = 1 })},
	{"count in the end record", rezipped(func(t *rapid.T, b []byte) []byte { b[zipEnd(b)+10]--; b[zipEnd(b)+8]--; return b })},
	{"unicode path", rezipped(func(t *rapid.T, b []byte) []byte { return withExtra(b, []byte{0x75, 0x70, 1, 0, 1}) })},
	{"unknown extra field", rezipped(func(t *rapid.T, b []byte) []byte { return withExtra(b, []byte{0x99, 0x99, 0, 0}) })},
	{"cut", rezipped(func(t *rapid.T, b []byte) []byte { return b[:rapid.IntRange(1, len(b)-1).Draw(t, "cut")] })},
}

func zipped(change func(t *rapid.T, all []file) []file) func(*rapid.T, []file) []byte {
	return func(t *rapid.T, all []file) []byte { return zipOf(t, change(t, benign(t, all)), "") }
}

// withExtra puts an extra field into the last line of the directory.
func withExtra(b []byte, field []byte) []byte {
	end, last := zipEnd(b), 0
	for at := zipDir(b); at < end; at += 46 + int(le.Uint16(b[at+28:])) + int(le.Uint16(b[at+30:])) {
		last = at
	}
	out := slices.Concat(b[:end], field, b[end:])
	le.PutUint16(out[last+30:], le.Uint16(out[last+30:])+uint16(len(field)))
	le.PutUint32(out[end+len(field)+12:], le.Uint32(out[end+len(field)+12:])+uint32(len(field)))
	return out
}

// signingBlock is a block of Android's with one entry.
func signingBlock(id uint32) []byte {
	pair := append(le.AppendUint32(nil, id), "signature"...)
	body := append(le.AppendUint64(nil, uint64(len(pair))), pair...)
	size := uint64(len(body) + 24)
	out := append(le.AppendUint64(nil, size), body...)
	return append(le.AppendUint64(out, size), "APK Sig Block 42"...)
}

// TestNoHarmInAZipIsExplained is the like of it for zips.
func TestNoHarmInAZipIsExplained(t *testing.T) {
	r := newRoom(t)
	for _, h := range zipHarms {
		t.Run(h.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				all := someFiles(t)
				a, b := zipOf(t, all, ""), h.do(t, all)
				for _, p := range [][2][]byte{{a, b}, {b, a}} {
					if rep := r.compare(t, p[0], p[1]); rep.Verdict != artifact.Different || len(rep.Differences) == 0 {
						t.Fatalf("%s is %s: %+v", h.name, rep.Verdict, rep.Causes)
					}
				}
			})
		})
	}
}

// TestWhatIsOddIsNotExplained: archives that readers see in two ways are not
// explained, even where both have the oddity and only times differ.
func TestWhatIsOddIsNotExplained(t *testing.T) {
	r := newRoom(t)
	all := []file{{name: "a", body: "one", mode: 0o644, kind: tar.TypeReg, time: day}, {name: "a", body: "two", mode: 0o644, kind: tar.TypeReg, time: day}}
	later := slices.Clone(all)
	later[1].time = day.Add(time.Hour)
	for name, make := range map[string]func([]file) []byte{
		"tar": func(f []file) []byte { return tarOf(t, f) },
		"zip": func(f []file) []byte { return zipOf(t, f, "") },
		"behind": func(f []file) []byte {
			return append(tarOf(t, f[:1]), tarOf(t, f[1:])...)
		},
	} {
		if rep := r.compare(t, make(all), make(later)); rep.Verdict != artifact.Different {
			t.Errorf("%s: %s", name, rep.Verdict)
		}
		if rep := r.compare(t, make(all), make(all)); rep.Verdict != artifact.Identical {
			t.Errorf("%s: %s of itself", name, rep.Verdict)
		}
	}
}

// TestSigningBlockIsAttached: the shipped package of Android is the rebuilt one
// with the vendor's block of signatures in it. The other way round it is not.
func TestSigningBlockIsAttached(t *testing.T) {
	r := newRoom(t)
	plain := zipOf(t, []file{{name: "classes.dex", body: "code", mode: 0o644, kind: tar.TypeReg, time: day}}, "")
	signed := inserted(bytes.Clone(plain), zipDir(plain), signingBlock(0x7109871a))
	rep := r.compare(t, signed, plain)
	if rep.Verdict != artifact.Explained || len(rep.Causes) != 1 || rep.Causes[0].Name != "signature" || !rep.Causes[0].Proved {
		t.Errorf("%s: %+v %+v", rep.Verdict, rep.Causes, rep.Differences)
	}
	if rep := r.compare(t, plain, signed); rep.Verdict != artifact.Different {
		t.Errorf("a signature that the shipped one lacks: %s", rep.Verdict)
	}
}

func TestHarmlessZipsAreExplained(t *testing.T) {
	r := newRoom(t)
	rapid.Check(t, func(t *rapid.T) {
		all := someFiles(t)
		other := benign(t, all)
		if rapid.Bool().Draw(t, "order") {
			slices.Reverse(other)
		}
		a, b := zipOf(t, all, ""), zipOf(t, other, "")
		rep := r.compare(t, a, b)
		if bytes.Equal(a, b) != (rep.Verdict == artifact.Identical) || rep.Verdict == artifact.Different {
			t.Fatalf("%s: %+v", rep.Verdict, rep.Differences)
		}
	})
}
