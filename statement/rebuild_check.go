package statement

import (
	"errors"
	"fmt"
	"slices"
)

// Validate checks r against the subjects of its statement.
func (r *Rebuild) Validate(subject []Subject) error {
	for _, check := range []func() error{r.checkHead, r.checkArtifacts, r.checkAttempts} {
		if err := check(); err != nil {
			return err
		}
	}
	return sameSubjects(subject, r.Subjects())
}

func (r *Rebuild) checkHead() error {
	switch {
	case r.Release.IsZero():
		return errNoDigest("release")
	case outcomes[r.Outcome] == 0:
		return errOutcome("outcome", r.Outcome)
	case r.Recipe != nil && r.Recipe.IsZero():
		return errNoDigest("recipe")
	case r.Job != nil && r.Job.IsZero():
		return errNoDigest("job")
	case r.Job != nil && r.Recipe == nil:
		return errors.New("recipe: missing, and there is a job: a job is made from a recipe")
	case r.Job == nil && r.Outcome != Failed:
		return fmt.Errorf("job: missing, and the outcome is %s: only what failed may have none", r.Outcome)
	case r.Explanation == nil && r.Outcome == Explained:
		return errors.New("explanation: missing, and the outcome is explained")
	case r.Explanation != nil && r.Outcome != Explained && r.Outcome != Different:
		return fmt.Errorf("explanation: the outcome is %s: there is nothing to explain", r.Outcome)
	case (r.Engine == "") != (r.Job == nil):
		return errors.New("engine: there is one exactly where there is a job")
	case r.Engine != "" && !isChannel(r.Engine):
		return errEngine(r.Engine)
	case r.Explanation == nil:
		return nil
	}
	if err := r.Explanation.check(); err != nil {
		return fmt.Errorf("explanation: %w", err)
	}
	return nil
}

func errOutcome(name string, o Outcome) error {
	return fmt.Errorf("%s: %.40q, want identical, explained, different or failed", name, o)
}

func errEngine(s string) error {
	return fmt.Errorf("engine: %.80q, want 1 to 64 of a-z, 0-9 and hyphen", s)
}

func (r *Rebuild) checkArtifacts() error {
	if len(r.Artifacts) == 0 || len(r.Artifacts) > MaxSubjects {
		return fmt.Errorf("artifacts: %d of them, want 1 to %d", len(r.Artifacts), MaxSubjects)
	}
	worst, seen := Identical, make(map[string]bool, len(r.Artifacts))
	for i := range r.Artifacts {
		a := &r.Artifacts[i]
		if err := a.check(); err != nil {
			return fmt.Errorf("artifacts/%d: %w", i, err)
		}
		if seen[a.Name] {
			return fmt.Errorf("artifacts/%d: name %.80q twice", i, a.Name)
		}
		seen[a.Name] = true
		if a.Outcome.Worse(worst) {
			worst = a.Outcome
		}
	}
	if worst != r.Outcome {
		return fmt.Errorf("outcome: %s, and the worst of the artifacts is %s", r.Outcome, worst)
	}
	return nil
}

func (a *RebuiltArtifact) check() error {
	if err := (&Artifact{Name: a.Name, SHA256: a.Shipped}).check(); err != nil {
		return err
	}
	same := a.Rebuilt != nil && *a.Rebuilt == a.Shipped
	switch {
	case outcomes[a.Outcome] == 0:
		return errOutcome("outcome", a.Outcome)
	case a.Rebuilt != nil && a.Rebuilt.IsZero():
		return errNoDigest("rebuilt")
	case same != (a.Outcome == Identical):
		return fmt.Errorf("outcome: %s: it is identical exactly where shipped and rebuilt are one digest", a.Outcome)
	case a.Outcome == Failed && a.Rebuilt != nil:
		return errors.New("rebuilt: the outcome is failed: there is none")
	}
	return nil
}

func (r *Rebuild) checkAttempts() error {
	if len(r.Attempts) == 0 || len(r.Attempts) > MaxAttempts {
		return fmt.Errorf("attempts: %d of them, want 1 to %d", len(r.Attempts), MaxAttempts)
	}
	for i := range r.Attempts {
		if err := r.Attempts[i].check(); err != nil {
			return fmt.Errorf("attempts/%d: %w", i, err)
		}
		if i > 0 && r.Attempts[i].Started.Before(r.Attempts[i-1].Started) {
			return fmt.Errorf("attempts/%d: started before the one before it", i)
		}
	}
	switch last := r.Attempts[len(r.Attempts)-1]; {
	case last.Outcome != r.Outcome:
		return fmt.Errorf("outcome: %s, and the last attempt was %s", r.Outcome, last.Outcome)
	case last.Engine != "" && last.Engine != r.Engine:
		return fmt.Errorf("engine: %.80q, and the last attempt ran on %.80q", r.Engine, last.Engine)
	}
	return nil
}

func (a *RebuildAttempt) check() error {
	if err := checkTime(a.Started); err != nil {
		return fmt.Errorf("started: %w", err)
	}
	if err := checkTime(a.Finished); err != nil {
		return fmt.Errorf("finished: %w", err)
	}
	switch {
	case a.Finished.Before(a.Started):
		return errors.New("finished: before it started")
	case outcomes[a.Outcome] == 0:
		return errOutcome("outcome", a.Outcome)
	case a.Engine != "" && !isChannel(a.Engine):
		return errEngine(a.Engine)
	case a.Engine == "" && a.Outcome != Failed:
		return fmt.Errorf("engine: missing, and the outcome is %s", a.Outcome)
	case a.Outcome == Failed && !slices.Contains(reasons, a.Reason):
		return fmt.Errorf("reason: %.40q, want one of %v", a.Reason, reasons)
	case a.Outcome != Failed && a.Reason != "":
		return fmt.Errorf("reason: the outcome is %s: only what failed has one", a.Outcome)
	case a.Detail != "" && (len(a.Detail) > maxDetail || !isFileText(a.Detail)):
		return fmt.Errorf("detail: want one printable line of at most %d bytes", maxDetail)
	case (a.Output == nil) != (a.Outcome == Failed):
		return errors.New("output: there is one exactly where the attempt has not failed")
	case a.Output != nil && a.Output.IsZero():
		return errNoDigest("output")
	case a.Log == nil:
		return nil
	}
	if err := a.Log.check(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}
