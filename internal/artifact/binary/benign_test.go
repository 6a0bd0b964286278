package binary_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"vitrine.example/internal/artifact/binary"
)

// TestBenignVariants builds one program in ways that do not change what it
// does: no function may count as changed.
func TestBenignVariants(t *testing.T) {
	for _, p := range platforms {
		base := p.with("-s -w", "-trimpath")
		vcs := base
		vcs.flags, vcs.git = []string{"-trimpath", "-buildvcs=true"}, true
		elsewhere := p.with("", "")
		elsewhere.dir = "/quite/another/place"
		elsewhere.flags = elsewhere.flags[:1]
		for name, v := range map[string]variant{
			"stock linker":        p.with("", "-trimpath"),
			"no -trimpath":        elsewhere,
			"no DWARF, symbols":   p.with("-w", "-trimpath"),
			"other build id":      p.with("-s -w -buildid=aaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbb", "-trimpath"),
			"no build id":         p.with("-s -w -buildid=", "-trimpath"),
			"VCS stamp":           vcs,
			"ldflags in the info": p.with("-s -w", "-gcflags="),
		} {
			t.Run(p.os+"/"+p.arch+"/"+name, func(t *testing.T) {
				a, b := build(t, base), build(t, v)
				for _, r := range []binary.Result{compare(t, a, b, binary.Options{}), compare(t, b, a, binary.Options{})} {
					if c := r.Counts; c.Changed+c.OnlyA+c.OnlyB+c.Tables > 0 || c.FunctionsA < 1000 || !r.Go {
						t.Errorf("%+v: %v", c, changed(r))
						for _, f := range r.Functions[:min(5, len(r.Functions))] {
							t.Logf("%+v", f)
						}
					}
				}
			})
		}
	}
}

// TestExplained holds what is explained, and by which causes.
func TestExplained(t *testing.T) {
	linux := platforms[0]
	base := linux.with("-s -w", "-trimpath")
	for _, c := range []struct {
		name string
		v    variant
		want string // causes
	}{
		{"symbols and DWARF", linux.with("", "-trimpath"), "dwarf, gnu build-id, go build id, section table, symbol table"},
		{"symbols", linux.with("-w", "-trimpath"), "gnu build-id, go build id, section table, symbol table"},
		{"no build ids", linux.with("-s -w -buildid= -B none", "-trimpath"), "gnu build-id, go build id, section table"},
		{"no GNU build-id", linux.with("-s -w -B none", "-trimpath"), "gnu build-id, go build id, section table"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := build(t, base), build(t, c.v)
			for _, r := range []binary.Result{compare(t, a, b, binary.Options{}), compare(t, b, a, binary.Options{})} {
				if got := strings.Join(causes(r), ", "); !r.Explained || r.Counts.Residue != 0 || got != c.want {
					t.Errorf("explained %v, residue %d, by %s; want %s; %v", r.Explained, r.Counts.Residue, got, c.want, r.Notes)
				}
				if len(r.Data)+len(r.Functions) > 0 {
					t.Errorf("explained, and yet: %+v %+v", r.Data, r.Functions)
				}
			}
		})
	}
}

// TestVCSStamp: two commits of the same content, built alike.
func TestVCSStamp(t *testing.T) {
	v := platforms[0].with("-s -w", "-trimpath")
	v.flags, v.git = []string{"-trimpath", "-buildvcs=true"}, true
	w := v
	w.edit = map[string]string{"// Package shop knows what things cost.": "// Package shop knows what a thing costs."}
	r := compare(t, build(t, v), build(t, w), binary.Options{})
	if !r.Explained || !slices.Contains(causes(r), binary.CauseBuildInfo) {
		t.Errorf("explained %v by %v: %+v", r.Explained, r.Causes, r.Data)
	}
}

// TestBuildPath: the same sources in two directories of one length.
func TestBuildPath(t *testing.T) {
	v := platforms[0].with("-s -w")
	v.dir = "/one"
	w := v
	w.dir = "/two"
	r := compare(t, build(t, v), build(t, w), binary.Options{})
	if !slices.Contains(causes(r), binary.CausePath) || !r.Explained {
		t.Errorf("explained %v by %+v: %+v", r.Explained, r.Causes, r.Data)
	}
}

// TestOneLineChange: exactly the functions whose source changed.
func TestOneLineChange(t *testing.T) {
	for _, p := range platforms[:4] {
		base := p.with("-s -w", "-trimpath")
		for _, c := range []struct {
			from, to string
			want     []string
		}{
			{"level >= 3", "level >= 2", []string{"main.admitted"}},
			{`"guest"`, `"guess"`, []string{"main.admitted"}},
			{`"the code is too short"`, `"the code is much too short"`, []string{"main.check"}},
			{`want two dashes`, `want 2 dashes`, []string{"main.check"}},
			{`strings.Count(code, "-") != 2`, `strings.Count(code, "-") != 2 && len(os.Args) < 9`, []string{"main.check"}},
			{"13, 17, 19, 23, 29}", "13, 17, 19, 23, 31}", []string{"main.primes"}},
			{"return s.side * s.side", "return s.side*s.side + 1", []string{"main.(*square).area", "main.square.area"}},
			{"n += s.area()", "n += s.area() * 2", []string{"main.total"}},
			{"cents * 95 / 100", "cents * 94 / 100", []string{"example.test/prog/shop.discount"}},
			{`return "not sold here"`, `return "not sold here, ask next door at the baker's"`, []string{"example.test/prog/shop.Price"}},
			{"\tif cents > 1000 {", "\tif cents > 1000 {\n\t\tfmt.Println(\"a good customer\")", []string{"example.test/prog/shop.discount"}},
		} {
			t.Run(p.os+"/"+p.arch+"/"+c.to, func(t *testing.T) {
				v := base
				v.edit = map[string]string{c.from: c.to}
				r := compare(t, build(t, base), build(t, v), binary.Options{})
				if got := changed(r); !slices.Equal(got, c.want) || r.Explained || r.Rung == binary.RungBytes || r.Rung == binary.RungSections {
					t.Errorf("%v, want %v; rung %q, explained %v", got, c.want, r.Rung, r.Explained)
					for _, f := range r.Functions[:min(5, len(r.Functions))] {
						t.Logf("%+v", f)
					}
				}
				if len(r.Hunks) == 0 {
					t.Error("no hunk")
				}
			})
		}
	}
}

// TestValueOfAVariable: data that changes is named, and no function.
func TestValueOfAVariable(t *testing.T) {
	base := platforms[0].with("-w", "-trimpath")
	v := base
	v.edit = map[string]string{`greeting = "welcome"`: `greeting = "goodbye"`}
	r := compare(t, build(t, base), build(t, v), binary.Options{})
	if len(r.Functions) > 0 || len(r.Data) != 1 || r.Explained || !strings.Contains(r.Data[0].A, "welcome") || !strings.Contains(r.Data[0].B, "goodbye") {
		t.Errorf("%v %+v", changed(r), r.Data)
	}
}

// TestHeaders: what the loader acts upon in the headers is never taken over,
// though tables and build ids in the same page are.
func TestHeaders(t *testing.T) {
	a, b := build(t, platforms[0].with("-s -w", "-trimpath")), build(t, platforms[0].with("", "-trimpath"))
	if !compare(t, a, b, binary.Options{}).Explained {
		t.Fatal("symbols alone are not explained")
	}
	const segments, size = 64, 56
	for name, at := range map[string]int{
		"address of the segments": segments + 16, "type of a segment": segments, "size of a note": segments + size + 32,
		"permissions": segments + 2*size + 4, "address of code": segments + 2*size + 16, "size of data": segments + 4*size + 40,
		"entry point": 24, "system": 7, "a byte that nothing holds": 0x800,
	} {
		c := bytes.Clone(a)
		c[at] ^= 1
		for _, pair := range [][2][]byte{{c, b}, {b, c}, {c, a}, {a, c}} {
			if r := compare(t, pair[0], pair[1], binary.Options{}); r.Explained || r.Counts.Residue == 0 {
				t.Errorf("%s: explained by %+v", name, r.Causes)
			}
		}
	}
}

// TestDebuggerScripts: gdb runs what stands in this section, if it is no name.
func TestDebuggerScripts(t *testing.T) {
	a, b := build(t, platforms[0].with("-s -w", "-trimpath")), build(t, platforms[0].with("-compressdwarf=false", "-trimpath"))
	i := bytes.Index(b, []byte("\x01runtime/runtime-gdb.py\x00"))
	if i < 0 {
		t.Fatal("no such section")
	}
	c := bytes.Clone(b)
	copy(c[i:], "\x04x\nimport os; os.exit(1)\x00")
	if !compare(t, b, a, binary.Options{}).Explained || compare(t, c, a, binary.Options{}).Explained {
		t.Error("a script in the file is taken over, or a name is not")
	}
}
