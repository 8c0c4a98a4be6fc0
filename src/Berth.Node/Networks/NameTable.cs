using System.Net;
using Berth.Core.Networks;

namespace Berth.Node.Networks;

/// <summary>Who is where in a network. A name may have several addresses, and an address several names.</summary>
internal sealed class NameTable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, List<IPAddress>> byName = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>On other machines, as the servers say.</summary>
    private Dictionary<string, IPAddress[]> elsewhere = new(StringComparer.OrdinalIgnoreCase);
    private int turn;

    /// <summary>Told when what is here has changed.</summary>
    public Action Changed { get; set; } = static () => { };

    /// <summary>What is on this machine.</summary>
    public IReadOnlyList<FoundName> Here
    {
        get
        {
            lock (gate)
            {
                return [.. byName.SelectMany(pair => pair.Value.Select(a => new FoundName(pair.Key, a)))];
            }
        }
    }

    public void SetElsewhere(IReadOnlyList<FoundName> names)
    {
        Dictionary<string, IPAddress[]> told = names.GroupBy(n => n.Name, StringComparer.OrdinalIgnoreCase)
            .ToDictionary(g => g.Key, g => g.Select(n => n.Address).Distinct().ToArray(),
                StringComparer.OrdinalIgnoreCase);
        lock (gate)
        {
            elsewhere = told;
        }
    }

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

        Changed();
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

        Changed();
    }

    /// <summary>At most <paramref name="most"/>, another one first each time; empty where nobody has it.</summary>
    public IReadOnlyList<IPAddress> Find(string name, int most)
    {
        lock (gate)
        {
            List<IPAddress> addresses =
                [.. byName.GetValueOrDefault(name) ?? [], .. elsewhere.GetValueOrDefault(name) ?? []];
            if (addresses.Count == 0)
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
            return byName.Where(pair => pair.Value.Contains(address)).Select(pair => pair.Key)
                .Concat(elsewhere.Where(pair => pair.Value.Contains(address)).Select(pair => pair.Key))
                .Order().FirstOrDefault();
        }
    }
}
