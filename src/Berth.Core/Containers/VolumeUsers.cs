using Berth.Core.Errors;

namespace Berth.Core.Containers;

/// <summary>Which named volumes are in use now, by name: none is removed meanwhile. Both ends of a link keep one: the
/// server of what it placed, a node of what any server ordered. Thread-safe.</summary>
public sealed class VolumeUsers
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, int> taken = new(StringComparer.Ordinal);
    private readonly HashSet<string> removing = new(StringComparer.Ordinal);

    public bool Has(string name)
    {
        lock (gate)
        {
            return taken.ContainsKey(name);
        }
    }

    /// <summary>Counts volumes as used until it is disposed. Throws <c>NodeFault</c> where one is just being removed:
    /// tried again, it makes another.</summary>
    public IDisposable Take(IEnumerable<string> volumes)
    {
        string[] names = [.. volumes.Distinct(StringComparer.Ordinal)];
        lock (gate)
        {
            if (names.FirstOrDefault(removing.Contains) is { } going)
            {
                throw new BerthException(ErrorCode.NodeFault, $"The volume '{going}' is being removed.");
            }

            foreach (string name in names)
            {
                taken[name] = taken.GetValueOrDefault(name) + 1;
            }
        }

        return new Ending(() => Leave(names));
    }

    /// <summary>Lets nobody have it until it is disposed. Throws <c>Conflict</c> where somebody has it.</summary>
    public IDisposable Close(string name)
    {
        lock (gate)
        {
            if (taken.ContainsKey(name) || !removing.Add(name))
            {
                throw new BerthException(
                    ErrorCode.Conflict, $"Something runs with the volume '{name}': wait until it has ended.");
            }
        }

        return new Ending(() =>
        {
            lock (gate)
            {
                removing.Remove(name);
            }
        });
    }

    private void Leave(string[] names)
    {
        lock (gate)
        {
            foreach (string name in names)
            {
                if (--taken[name] == 0)
                {
                    taken.Remove(name);
                }
            }
        }
    }

    private sealed class Ending(Action end) : IDisposable
    {
        private int left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref left, 1) == 0)
            {
                end();
            }
        }
    }
}
