package statement_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// aRebuild is one that failed first, and is then explained.
func aRebuild() *statement.Rebuild {
	recipe, job, out, made := sum("recipe"), sum("job"), sum("out"), sum("made")
	log := &statement.Evidence{MediaType: "text/plain", Size: 7, SHA256: sum("log")}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	same := sum("map")
	return &statement.Rebuild{
		Release: sum("release"), Outcome: statement.Explained,
		Artifacts: []statement.RebuiltArtifact{
			{Name: "sensor.bin", Shipped: sum("image"), Rebuilt: &made, Outcome: statement.Explained},
			{Name: "sensor.map", Shipped: same, Rebuilt: &same, Outcome: statement.Identical},
		},
		Explanation: &statement.Evidence{MediaType: "application/vnd.vitrine.explanation+json", Size: 99, SHA256: sum("why")},
		Recipe:      &recipe, Job: &job, Engine: "embedded",
		Attempts: []statement.RebuildAttempt{
			{Engine: "embedded", Started: at, Finished: at.Add(time.Hour), Outcome: statement.Failed, Reason: statement.ReasonTime, Detail: "ended after 1h", Log: log},
			{Engine: "embedded", Started: at.Add(2 * time.Hour), Finished: at.Add(3 * time.Hour), Outcome: statement.Explained, Output: &out, Log: log},
		},
	}
}

// aProvenance is of what aRebuild made.
func aProvenance() *statement.Provenance {
	release, at := sum("release"), time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	dig := func(s string) map[string]string { return map[string]string{"sha256": sum(s).String()} }
	return &statement.Provenance{
		BuildDefinition: statement.BuildDefinition{
			BuildType:          statement.JobBuildType,
			ExternalParameters: statement.ExternalParameters{Recipe: sum("recipe"), Release: &release},
			InternalParameters: statement.InternalParameters{Job: sum("job"), Engine: "embedded"},
			ResolvedDependencies: []statement.Dependency{
				{Name: "Go 1.26.0", URI: "goproxy:golang.org/toolchain/@v/v0.0.1-go1.26.0.linux-amd64.zip", Digest: dig("go")},
				{Name: "source", Digest: dig("tar")},
			},
		},
		RunDetails: statement.RunDetails{
			Builder:   statement.Builder{ID: "https://centre.example"},
			Metadata:  statement.BuildMetadata{InvocationID: sum("job").String() + "/1772373600", StartedOn: at, FinishedOn: at.Add(time.Hour)},
			Byproduct: []statement.Dependency{{Name: "log", Digest: dig("log")}},
		},
	}
}

func TestRebuildRoundTrip(t *testing.T) {
	r := aRebuild()
	s, err := statement.New(r.Subjects(), r)
	if err != nil {
		t.Fatal(err)
	}
	env, err := statement.Sign(s, newSigner(t, key.P256))
	if err != nil {
		t.Fatal(err)
	}
	again, err := statement.Parse(env.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	back, err := again.Statement().Rebuild()
	if err != nil || len(back.Attempts) != 2 || back.Outcome != statement.Explained || !back.Flaky() {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err := again.Statement().Provenance(); err == nil {
		t.Error("a rebuild was read as a provenance")
	}
	if err := schemaSays(t, "rebuild-v1.schema.json", r); err != nil {
		t.Error(err)
	}
}

func TestProvenanceRoundTrip(t *testing.T) {
	p := aProvenance()
	s, err := statement.New([]statement.Subject{statement.NewSubject("sensor.bin", sum("made"))}, p)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Provenance()
	if err != nil || back.RunDetails.Builder.ID != "https://centre.example" {
		t.Errorf("%+v, %v", back, err)
	}
	if err := schemaSays(t, "provenance-v1.schema.json", p); err != nil {
		t.Error(err)
	}
}

// One attempt after the other with the same outputs is not flaky; other outputs are.
func TestFlaky(t *testing.T) {
	r := aRebuild()
	r.Attempts[0] = r.Attempts[1]
	if r.Flaky() {
		t.Error("two equal attempts are flaky")
	}
	other := sum("other")
	r.Attempts[0].Output = &other
	if !r.Flaky() {
		t.Error("two outputs of one job are not flaky")
	}
}

// What Validate refuses; where schema is set, the schema refuses it too.
func TestHostileRebuilds(t *testing.T) {
	none := strings.Repeat("x", 1025)
	for name, x := range map[string]struct {
		change func(r *statement.Rebuild)
		says   string
		schema bool
	}{
		"no release":               {func(r *statement.Rebuild) { r.Release = sumZero }, "release", true},
		"another outcome":          {func(r *statement.Rebuild) { r.Outcome = "fine" }, "outcome", true},
		"better than its worst":    {func(r *statement.Rebuild) { r.Outcome, r.Explanation = statement.Identical, nil }, "worst", false},
		"worse than its worst":     {func(r *statement.Rebuild) { r.Outcome = statement.Different }, "worst", false},
		"not the last attempt":     {func(r *statement.Rebuild) { r.Attempts = r.Attempts[:1] }, "last attempt", false},
		"explained without a word": {func(r *statement.Rebuild) { r.Explanation = nil }, "explanation", true},
		"no job":                   {func(r *statement.Rebuild) { r.Job, r.Engine = nil, "" }, "job", true},
		"job without recipe":       {func(r *statement.Rebuild) { r.Recipe = nil }, "recipe", true},
		"job without engine":       {func(r *statement.Rebuild) { r.Engine = "" }, "engine", true},
		"strange engine":           {func(r *statement.Rebuild) { r.Engine = "a b" }, "engine", true},
		"another engine":           {func(r *statement.Rebuild) { r.Engine = "gvisor" }, "engine", false},
		"no artifacts":             {func(r *statement.Rebuild) { r.Artifacts = nil }, "artifacts", true},
		"artifact twice":           {func(r *statement.Rebuild) { r.Artifacts[1] = r.Artifacts[0] }, "twice", false},
		"identical without it":     {func(r *statement.Rebuild) { r.Artifacts[1].Rebuilt = nil }, "one digest", true},
		"identical to another":     {func(r *statement.Rebuild) { r.Artifacts[1].Rebuilt = r.Artifacts[0].Rebuilt }, "one digest", false},
		"explained and the same":   {func(r *statement.Rebuild) { d := r.Artifacts[0].Shipped; r.Artifacts[0].Rebuilt = &d }, "one digest", false},
		"no attempts":              {func(r *statement.Rebuild) { r.Attempts = nil }, "attempts", true},
		"too many attempts":        {func(r *statement.Rebuild) { r.Attempts = make([]statement.RebuildAttempt, 33) }, "attempts", true},
		"failed for no reason":     {func(r *statement.Rebuild) { r.Attempts[0].Reason = "" }, "reason", true},
		"failed for another":       {func(r *statement.Rebuild) { r.Attempts[0].Reason = "weather" }, "reason", true},
		"a reason for success":     {func(r *statement.Rebuild) { r.Attempts[1].Reason = statement.ReasonTime }, "reason", true},
		"failed with an output":    {func(r *statement.Rebuild) { r.Attempts[0].Output = r.Attempts[1].Output }, "output", true},
		"no output":                {func(r *statement.Rebuild) { r.Attempts[1].Output = nil }, "output", true},
		"ran on nothing":           {func(r *statement.Rebuild) { r.Attempts[1].Engine = "" }, "engine", true},
		"two lines":                {func(r *statement.Rebuild) { r.Attempts[0].Detail = "a\nb" }, "detail", true},
		"a long line":              {func(r *statement.Rebuild) { r.Attempts[0].Detail = none }, "detail", true},
		"finished before":          {func(r *statement.Rebuild) { r.Attempts[0].Finished = r.Attempts[0].Started.Add(-time.Second) }, "finished", false},
		"started before":           {func(r *statement.Rebuild) { r.Attempts[1].Started = r.Attempts[0].Started.Add(-time.Second) }, "started", false},
		"half a second":            {func(r *statement.Rebuild) { r.Attempts[0].Started = r.Attempts[0].Started.Add(time.Second / 2) }, "whole", true},
		"a log of no type":         {func(r *statement.Rebuild) { r.Attempts[0].Log = &statement.Evidence{Size: 1, SHA256: sum("x")} }, "log", true},
		"subject of another":       {func(r *statement.Rebuild) { r.Artifacts[0].Shipped = sum("other") }, "subject", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := aRebuild()
			subject := r.Subjects()
			x.change(r)
			err := r.Validate(subject)
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Fatalf("%v, want %q", err, x.says)
			}
			if bySchema := schemaSays(t, "rebuild-v1.schema.json", r); x.schema != (bySchema != nil) {
				t.Errorf("the schema says %v, want a refusal: %t", bySchema, x.schema)
			}
		})
	}
}

var sumZero digest.Digest

func TestHostileProvenances(t *testing.T) {
	for name, x := range map[string]struct {
		change func(p *statement.Provenance)
		says   string
		schema bool
	}{
		"another build type": {func(p *statement.Provenance) { p.BuildDefinition.BuildType = "https://x.example/y" }, "buildType", true},
		"no recipe":          {func(p *statement.Provenance) { p.BuildDefinition.ExternalParameters.Recipe = sumZero }, "recipe", true},
		"no job":             {func(p *statement.Provenance) { p.BuildDefinition.InternalParameters.Job = sumZero }, "job", true},
		"no engine":          {func(p *statement.Provenance) { p.BuildDefinition.InternalParameters.Engine = "" }, "engine", true},
		"input undigested":   {func(p *statement.Provenance) { p.BuildDefinition.ResolvedDependencies[0].Digest = nil }, "sha256", true},
		"input at a path":    {func(p *statement.Provenance) { p.BuildDefinition.ResolvedDependencies[0].URI = "/x" }, "uri", true},
		"builder at a path":  {func(p *statement.Provenance) { p.RunDetails.Builder.ID = "centre" }, "builder", true},
		"no invocation":      {func(p *statement.Provenance) { p.RunDetails.Metadata.InvocationID = "" }, "invocationId", true},
		"no time":            {func(p *statement.Provenance) { p.RunDetails.Metadata.StartedOn = time.Time{} }, "startedOn", true},
		"finished before": {func(p *statement.Provenance) {
			p.RunDetails.Metadata.StartedOn = p.RunDetails.Metadata.FinishedOn.Add(time.Hour)
		}, "finishedOn", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := aProvenance()
			x.change(p)
			err := p.Validate([]statement.Subject{statement.NewSubject("a", sum("a"))})
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Fatalf("%v, want %q", err, x.says)
			}
			if bySchema := schemaSays(t, "provenance-v1.schema.json", p); x.schema != (bySchema != nil) {
				t.Errorf("the schema says %v, want a refusal: %t", bySchema, x.schema)
			}
		})
	}
}

// The examples of docs/spec/rebuild.md are these two.
func TestExamplesOfRebuild(t *testing.T) {
	for name, p := range map[string]any{"rebuild": aRebuild(), "provenance": aProvenance()} {
		want, err := strictjson.Canonical(p)
		if err != nil {
			t.Fatal(err)
		}
		have, err := strictjson.Canonicalize([]byte(example(t, "rebuild.md", name)), strictjson.Limits{})
		if err != nil || !bytes.Equal(have, want) {
			var pretty bytes.Buffer
			_ = json.Indent(&pretty, want, "", "  ")
			t.Errorf("rebuild.md shows another %s: %v; want\n%s", name, err, &pretty)
		}
	}
}
