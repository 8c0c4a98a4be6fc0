using System.Net;

namespace Berth.Node.Networks;

/// <summary>Who is where in a network. A name may have several addresses, and an address several names.</summary>
internal sealed class NameTable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, List<IPAddress>> byName = new(StringComparer.OrdinalIgnoreCase);
    private int turn;

    public void Add(IReadOnlyList<string> names, IPAddress address)
    {
        lock (gate)
        {
            foreach (string name in names)
            {
                if (!byName.TryGetValue(name, out List<IPAddress>? addresses))
                {
                    byName.Add(name, addresses = []);
                }

                addresses.Add(address);
            }
        }
    }

    public void Remove(IReadOnlyList<string> names, IPAddress address)
    {
        lock (gate)
        {
            foreach (string name in names)
            {
                if (byName.TryGetValue(name, out List<IPAddress>? addresses) && addresses.Remove(address)
                    && addresses.Count == 0)
                {
                    byName.Remove(name);
                }
            }
        }
    }

    /// <summary>At most <paramref name="most"/>, another one first each time; empty where nobody has it.</summary>
    public IReadOnlyList<IPAddress> Find(string name, int most)
    {
        lock (gate)
        {
            if (!byName.TryGetValue(name, out List<IPAddress>? addresses))
            {
                return [];
            }

            int first = (int)((uint)turn++ % addresses.Count);
            return
                [.. addresses.Skip(first).Concat(addresses.Take(first)).Take(most)];
        }
    }

    /// <summary>Null where nobody has the address.</summary>
    public string? NameOf(IPAddress address)
    {
        lock (gate)
        {
            return byName.Where(pair => pair.Value.Contains(address)).Select(pair => pair.Key).Order().FirstOrDefault();
        }
    }
}
