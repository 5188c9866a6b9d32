package speaker

import "time"

// A worker that died is started again at once, so that it is back within two
// seconds. One that keeps dying is started again rarely: every start costs the
// peers a session.
const (
	restartDelay  = 100 * time.Millisecond
	dampedDelay   = time.Minute
	dampingDeaths = 5
	dampingWindow = 10 * time.Minute
)

// damper remembers the latest deaths of the worker.
type damper struct{ deaths []time.Time }

// died notes a death and returns how long to wait before the next start, and
// whether that is because there were too many.
func (d *damper) died(now time.Time) (delay time.Duration, damped bool) {
	d.deaths = append(d.deaths, now)
	if len(d.deaths) > dampingDeaths {
		d.deaths = d.deaths[1:]
	}
	if len(d.deaths) == dampingDeaths && now.Sub(d.deaths[0]) <= dampingWindow {
		return dampedDelay, true
	}
	return restartDelay, false
}
