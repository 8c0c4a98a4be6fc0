using System.Collections.Concurrent;
using System.Security.Cryptography;
using Berth.Core.Containers;
using Berth.Core.Errors;

namespace Berth.Server.Containers;

/// <summary>The containers there are, found as people name them.</summary>
internal sealed class ContainerIndex
{
    /// <summary>Shorter beginnings of ids are too likely to be slips of the keyboard.</summary>
    private const int LeastPrefix = 3;

    private readonly ConcurrentDictionary<ContainerId, ContainerEntry> entries = new();
    private int invented = RandomNumberGenerator.GetInt32(0xFFFF);

    public ICollection<ContainerEntry> All => entries.Values;

    public void Add(ContainerEntry entry) => entries[entry.Record.Id] = entry;

    public void Remove(ContainerEntry entry) => entries.TryRemove(entry.Record.Id, out _);

    /// <summary>By name, by id, or by the beginning of an id that no other begins with. Throws <c>NotFound</c>.
    /// </summary>
    public ContainerEntry Find(string reference)
    {
        ContainerEntry[] found = [.. entries.Values.Where(e => e.Record.Name == reference)];
        if (found.Length == 0 && ContainerId.TryParse(reference, out ContainerId id)
            && entries.TryGetValue(id, out ContainerEntry? whole))
        {
            return whole;
        }

        if (found.Length == 0 && reference.Length >= LeastPrefix && ContainerId.IsPrefix(reference))
        {
            found = [.. entries.Values.Where(
                e => e.Record.Id.Text.StartsWith(reference, StringComparison.Ordinal))];
        }

        return found switch
        {
            [var only] => only,
            [] => throw NotFound(reference),
            _ => throw new BerthException(
                ErrorCode.NotFound,
                $"{found.Length} containers have ids that begin with '{reference}': give more of the id."),
        };
    }

    /// <summary>A name that no container has now.</summary>
    public string InventName()
    {
        HashSet<string> taken = [.. entries.Values.Select(e => e.Record.Name)];
        while (true)
        {
            int number = Interlocked.Increment(ref invented) & int.MaxValue;
            string name = ContainerName.Invent(number * 7);
            if (taken.Count > ContainerName.Inventable / 2)
            {
                name += "_" + ContainerId.New().Text[..4];
            }

            if (!taken.Contains(name))
            {
                return name;
            }
        }
    }

    public static BerthException NotFound(string reference) => new(
        ErrorCode.NotFound,
        $"There is no container '{(reference.Length > 64 ? reference[..64] + "…" : reference)}': 'berth ps -a' lists "
        + "them.");
}
