using Berth.Core.Errors;

namespace Berth.Server.Results;

/// <summary>Executions under way that equal calls wait for, in place of having one each.</summary>
internal sealed class Flights
{
    private readonly Lock gate = new();
    private readonly Dictionary<ResultKey, Flight> flights = [];

    /// <summary>Joins the one under way, or begins one.</summary>
    /// <param name="most">Calls that may wait for one. Throws <c>QueueFull</c> beyond.</param>
    /// <returns>True for who has to execute it, and afterwards to <see cref="End"/> and dispose it.</returns>
    public bool Join(ResultKey key, string caller, int most, out Flight flight)
    {
        lock (gate)
        {
            if (!flights.TryGetValue(key, out Flight? found))
            {
                flights[key] = flight = new Flight(this, key, caller);
                return true;
            }

            if (found.Callers > most)
            {
                throw new BerthException(
                    ErrorCode.QueueFull,
                    $"{most:N0} calls wait for the same result already: send it again later, or raise max-waiting.")
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                };
            }

            found.Callers++;
            flight = found;
            return false;
        }
    }

    /// <summary>One that no other call joins.</summary>
    public Flight Alone(string caller) => new(this, null, caller);

    /// <summary>Tells all who wait. A result is held once more for each of them.</summary>
    public void End(Flight flight, FlightEnd end)
    {
        lock (gate)
        {
            Forget(flight);
            if (end is FlightEnd.Result { Kept.Output: var output })
            {
                for (int i = 0; i < flight.Callers; i++)
                {
                    output.TryHold();
                }
            }

            flight.Set(end);
        }
    }

    /// <summary>A caller goes away.</summary>
    /// <returns>Whether it was the last of one that has not ended: nobody joins that one any more.</returns>
    public bool Leave(Flight flight)
    {
        lock (gate)
        {
            if (flight.HasEnded || --flight.Callers > 0)
            {
                return false;
            }

            Forget(flight);
            return true;
        }
    }

    private void Forget(Flight flight)
    {
        // An equal call may have begun another one since this was abandoned.
        if (flight.Key is { } key && flights.TryGetValue(key, out Flight? found) && found == flight)
        {
            flights.Remove(key);
        }
    }
}
