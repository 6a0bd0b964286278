package rebuild_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// made is an attempt that made these files below /out, all executable.
func made(t *testing.T, files map[string]string) (*rebuild.Attempt, string) {
	t.Helper()
	dir := t.TempDir()
	a := &rebuild.Attempt{Engine: "embedded", Started: time.Unix(1_772_366_400, 0).UTC(), Finished: time.Unix(1_772_366_401, 0).UTC()}
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		d := digest.Of([]byte(text))
		a.Outputs = append(a.Outputs, rebuild.Output{Path: "/out/" + name, Type: "file", Mode: 0o755, Size: int64(len(text)), SHA256: &d})
		if err := os.WriteFile(filepath.Join(dir, "out", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(a.Outputs, func(x, y rebuild.Output) int { return strings.Compare(x.Path, y.Path) })
	var err error
	if a.Output, err = rebuild.OutputDigest(a.Outputs); err != nil {
		t.Fatal(err)
	}
	return a, dir
}

// explainer says what it is told to say of everything.
type explainer struct {
	report string
	proved bool
	err    error
	asked  []string
}

func (e *explainer) Explain(_ context.Context, shipped, rebuilt rebuild.File) ([]byte, bool, error) {
	a, err := os.ReadFile(shipped.Path)
	if err != nil {
		return nil, false, err
	}
	b, err := os.ReadFile(rebuilt.Path)
	if err != nil {
		return nil, false, err
	}
	if !shipped.Built.IsZero() || !rebuilt.Built.Equal(exampleJob().Clock) {
		return nil, false, errors.New("it was not told when the rebuilt file was made")
	}
	if digest.Of(a) != shipped.SHA256 || digest.Of(b) != rebuilt.SHA256 {
		return nil, false, errors.New("it was given other files than it was told")
	}
	e.asked = append(e.asked, shipped.Name+": "+string(a)+" "+string(b))
	return []byte(e.report), e.proved, e.err
}

// judged is what came of comparing shipped files with an attempt.
func judged(t *testing.T, files, out map[string]string, outputs []recipe.Output, private []digest.Digest, ex rebuild.Explainer) (*rebuild.Result, *rebuild.Order, *rebuild.Attempt, error) {
	t.Helper()
	a, outDir := made(t, out)
	dir := t.TempDir()
	job := exampleJob()
	o := &rebuild.Order{Release: digest.Of([]byte("release")), Recipe: digest.Of([]byte("recipe")), Outputs: outputs, Task: rebuild.Task{Job: job}}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		o.Shipped = append(o.Shipped, shipped(name, []byte(files[name])))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j := rebuild.Judge{Explainer: ex, Dir: t.TempDir(), Shipped: func(_ context.Context, s rebuild.Shipped) (string, error) { return filepath.Join(dir, s.Name), nil }}
	res, err := j.Judge(context.Background(), o, a, outDir, private)
	if left, rerr := os.ReadDir(j.Dir); rerr != nil || len(left) > 0 {
		t.Errorf("%d temporary files are left, %v", len(left), rerr)
	}
	return res, o, a, err
}

func exampleJob() *recipe.Job {
	return &recipe.Job{Kind: recipe.JobKind, Clock: time.Unix(1_772_366_400, 0).UTC(), Hostname: "rebuild", CPUs: 1,
		Root: []recipe.Layer{{SHA256: digest.Of([]byte("root")), Size: 4, Form: recipe.Tar, At: "/"}}, Inputs: []recipe.Placed{}, Files: []recipe.File{},
		Env: []string{}, Steps: []recipe.Step{{Run: []string{"/bin/make"}, Dir: "/"}}, Outputs: []string{"/out/a"}}
}

// says asks for an outcome of each artifact, and for statements that say it.
func says(t *testing.T, res *rebuild.Result, o *rebuild.Order, a *rebuild.Attempt, want map[string]statement.Outcome) {
	t.Helper()
	worst := statement.Identical
	for _, x := range res.Artifacts {
		if x.Outcome != want[x.Name] {
			t.Errorf("%s is %s, want %s: %s", x.Name, x.Outcome, want[x.Name], res.Explanation)
		}
		if x.Outcome.Worse(worst) {
			worst = x.Outcome
		}
	}
	if res.Outcome != worst || len(res.Artifacts) != len(want) {
		t.Errorf("%s of %d artifacts, want %s of %d", res.Outcome, len(res.Artifacts), worst, len(want))
	}
	var evidence *statement.Evidence
	if res.Explanation != nil {
		if !json.Valid(res.Explanation) {
			t.Errorf("the explanation is %s", res.Explanation)
		}
		evidence = &statement.Evidence{MediaType: rebuild.ExplanationType, Size: int64(len(res.Explanation)), SHA256: digest.Of(res.Explanation)}
	}
	p, err := res.Statement(o, []rebuild.Said{{Attempt: a, Outcome: res.Outcome}}, evidence)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statement.New(p.Subjects(), p); err != nil {
		t.Error(err)
	}
	prov, subject, err := rebuild.Provenance(o, a, res, nil, "https://centre.example", nil)
	if len(subject) == 0 {
		return // nothing was made as a whole
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statement.New(subject, prov); err != nil {
		t.Error(err)
	}
}

func TestJudgeWholeArtifacts(t *testing.T) {
	outputs := []recipe.Output{{Path: "/out/a", Artifact: "a"}, {Path: "/out/b", Artifact: "b"}}
	files := map[string]string{"a": "A", "b": "B"}
	for name, x := range map[string]struct {
		out   map[string]string
		ex    rebuild.Explainer
		a, b  statement.Outcome
		wrong string
	}{
		"both the same":            {map[string]string{"a": "A", "b": "B"}, nil, statement.Identical, statement.Identical, ""},
		"nobody explains":          {map[string]string{"a": "A", "b": "X"}, nil, statement.Identical, statement.Different, ""},
		"proved":                   {map[string]string{"a": "A", "b": "X"}, &explainer{report: `{"cause":"x"}`, proved: true}, statement.Identical, statement.Explained, ""},
		"not proved":               {map[string]string{"a": "A", "b": "X"}, &explainer{report: `{"cause":"x"}`}, statement.Identical, statement.Different, ""},
		"not made":                 {map[string]string{"a": "A"}, &explainer{report: `{}`, proved: true}, statement.Identical, statement.Different, ""},
		"the explainer gives up":   {map[string]string{"a": "A", "b": "X"}, &explainer{err: errors.New("out of memory")}, "", "", "out of memory"},
		"proved without a report":  {map[string]string{"a": "A", "b": "X"}, &explainer{proved: true}, "", "", "not one JSON object"},
		"proved with a loose word": {map[string]string{"a": "A", "b": "X"}, &explainer{report: `{} yes`, proved: true}, "", "", "not one JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			res, o, a, err := judged(t, files, x.out, outputs, nil, x.ex)
			if x.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), x.wrong) {
					t.Errorf("%v, want %q", err, x.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			says(t, res, o, a, map[string]statement.Outcome{"a": x.a, "b": x.b})
		})
	}
}

// An artifact that no output names is different: what nobody made is not shown.
func TestJudgeWhatTheRecipeDoesNotMake(t *testing.T) {
	res, o, a, err := judged(t, map[string]string{"a": "A", "installer": "B"}, map[string]string{"a": "A"}, []recipe.Output{{Path: "/out/a", Artifact: "a"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	says(t, res, o, a, map[string]statement.Outcome{"a": statement.Identical, "installer": statement.Different})
	if !strings.Contains(string(res.Explanation), "name an output for it") {
		t.Errorf("%s", res.Explanation)
	}
}

// pack makes a tar file under gzip.
func pack(t testing.TB, headers ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		text := h.Gname // where the test keeps it
		h.Gname = ""
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func file(name, text string, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Gname: text}
}

// An archive that is built member by member is explained where all of it is
// accounted for, and different where anything in it could do something else.
func TestJudgeMembers(t *testing.T) {
	outputs := []recipe.Output{{Path: "/out/run", Artifact: "x.tgz", Member: "package/run"}, {Path: "/out/text", Artifact: "x.tgz", Member: "package/text"}}
	out := map[string]string{"run": "RUN", "text": "TEXT"}
	run, text := file("package/run", "RUN", 0o755), file("package/text", "TEXT", 0o644)
	blob := file("package/blob", "BLOB", 0o644)
	private := []digest.Digest{digest.Of([]byte("BLOB"))}
	good := pack(t, tar.Header{Name: "package/", Typeflag: tar.TypeDir, Mode: 0o755}, run, text)
	for name, x := range map[string]struct {
		shipped string
		ex      *explainer
		want    statement.Outcome
		says    string
	}{
		"all built":            {good, nil, statement.Explained, `"how":"identical"`},
		"and a private one":    {pack(t, run, text, blob), nil, statement.Explained, `"how":"private"`},
		"one proved":           {pack(t, file("package/run", "RUn", 0o755), text), &explainer{report: `{}`, proved: true}, statement.Explained, `"how":"explained"`},
		"one not proved":       {pack(t, file("package/run", "RUn", 0o755), text), &explainer{report: `{}`}, statement.Different, `"how":"different"`},
		"one changed":          {pack(t, file("package/run", "RUn", 0o755), text), nil, statement.Different, "package/run"},
		"one more":             {pack(t, run, text, file("package/more", "?", 0o644)), nil, statement.Different, "no output of the recipe is this member"},
		"one less":             {pack(t, run), nil, statement.Different, "missing"},
		"set-uid":              {pack(t, file("package/run", "RUN", 0o4755), text), nil, statement.Different, "set-uid"},
		"a link":               {pack(t, run, text, tar.Header{Name: "package/l", Typeflag: tar.TypeSymlink, Linkname: "/bin/sh"}), nil, statement.Different, "neither a file"},
		"one twice":            {pack(t, run, text, run), nil, statement.Different, "stands in it twice"},
		"one twice, otherwise": {pack(t, run, text, file("package/./run", "RUN", 0o755)), nil, statement.Different, "stands in it twice"},
		"one that leads out":   {pack(t, run, text, file("../x", "BLOB", 0o644)), nil, statement.Different, "leads out"},
		"a second gzip member": {good + good, nil, statement.Different, "follows its end"},
		"trailing bytes":       {good + "x", nil, statement.Different, "follows its end"},
		"extended headers":     {pack(t, run, text, extended()), nil, statement.Different, "extended header"},
		"no archive":           {"MZ and so on", nil, statement.Different, "not a tar file"},
		"cut":                  {good[:len(good)-20], nil, statement.Different, "not plain"},
		"bytes after the tar":  {hidden(t, run, text), nil, statement.Different, "follows its last member"},
	} {
		t.Run(name, func(t *testing.T) {
			var ex rebuild.Explainer
			if x.ex != nil {
				ex = x.ex
			}
			res, o, a, err := judged(t, map[string]string{"x.tgz": x.shipped}, out, outputs, private, ex)
			if err != nil {
				t.Fatal(err)
			}
			says(t, res, o, a, map[string]statement.Outcome{"x.tgz": x.want})
			if !strings.Contains(string(res.Explanation), x.says) {
				t.Errorf("%q is not in %s", x.says, res.Explanation)
			}
		})
	}
}

// A file that is built without an execute bit is not what is shipped with one.
func TestJudgeExecutableMember(t *testing.T) {
	a, dir := made(t, map[string]string{"run": "RUN"})
	a.Outputs[0].Mode = 0o644
	shippedFile := pack(t, file("run", "RUN", 0o755))
	o := &rebuild.Order{Shipped: []rebuild.Shipped{shipped("x.tgz", []byte(shippedFile))}, Outputs: []recipe.Output{{Path: "/out/run", Artifact: "x.tgz", Member: "run"}}}
	path := filepath.Join(t.TempDir(), "x.tgz")
	if err := os.WriteFile(path, []byte(shippedFile), 0o644); err != nil {
		t.Fatal(err)
	}
	j := rebuild.Judge{Dir: t.TempDir(), Shipped: func(context.Context, rebuild.Shipped) (string, error) { return path, nil }}
	res, err := j.Judge(context.Background(), o, a, dir, nil)
	if err != nil || res.Outcome != statement.Different {
		t.Errorf("%+v, %v", res, err)
	}
}

func extended() tar.Header {
	h := file("package/blob", "BLOB", 0o644)
	h.PAXRecords = map[string]string{"VENDOR.hidden": "x"}
	return h
}

// hidden has bytes behind the end of the tar, inside the gzip member.
func hidden(t testing.TB, headers ...tar.Header) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(pack(t, headers...)))
	if err != nil {
		t.Fatal(err)
	}
	var plain, b bytes.Buffer
	if _, err := plain.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(&b)
	if _, err := w.Write(append(plain.Bytes(), "#!/bin/sh"...)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A failed attempt makes a failed result, and a statement of both attempts.
func TestFailedAttempts(t *testing.T) {
	a, _ := made(t, map[string]string{"a": "A"})
	a.Outputs, a.Output, a.Reason, a.Detail = nil, digest.Digest{}, statement.ReasonMemory, rebuild.OneLine("over\x00\n"+strings.Repeat("ü", 2000))
	o := &rebuild.Order{Release: digest.Of([]byte("release")), Recipe: digest.Of([]byte("recipe")), Task: rebuild.Task{Job: exampleJob()}, Shipped: []rebuild.Shipped{shipped("a", []byte("A"))}}
	p, err := o.Fail().Statement(o, []rebuild.Said{{Attempt: a, Outcome: statement.Failed}, {Attempt: a, Outcome: statement.Failed}}, nil)
	if err != nil || p.Outcome != statement.Failed || len(p.Attempts) != 2 || p.Flaky() {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := statement.New(p.Subjects(), p); err != nil {
		t.Error(err)
	}
}
