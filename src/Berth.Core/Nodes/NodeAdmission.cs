using Berth.Core.Resources;

namespace Berth.Core.Nodes;

/// <summary>What an attempt takes of a machine.</summary>
/// <param name="TakesPlace">Instances wait more than they work, and take none.</param>
public readonly record struct AdmissionDemand(bool TakesPlace, ByteSize Memory);

/// <summary>
/// What a machine has promised, and whether it can promise more. Servers plan with what they know of it, which is a
/// moment old; this is the last word. Not thread-safe.
/// </summary>
/// <param name="memory">That it has.</param>
public sealed class NodeAdmission(int places, ByteSize memory)
{
    public int Places => places;

    /// <summary>Places that are taken; more than there are where it had to take more.</summary>
    public int Taken { get; private set; }

    /// <summary>Memory that was promised, of instances too.</summary>
    public ByteSize Promised { get; private set; }

    /// <summary>Why it can't take this now; null where it can. A machine that has promised nothing takes whatever it is
    /// given.</summary>
    public string? Refusal(AdmissionDemand demand) =>
        demand.TakesPlace && Taken >= places ? $"Its places are taken, {Taken} of {places}."
        : Promised.Bytes > 0 && Promised.Bytes + demand.Memory.Bytes > memory.Bytes
            ? $"It has promised {Promised} of its {memory} memory, and {demand.Memory} more are asked for."
        : null;

    /// <summary>Counts it, whether there is room or not.</summary>
    public void Take(AdmissionDemand demand)
    {
        Taken += demand.TakesPlace ? 1 : 0;
        Promised = ByteSize.FromBytes(Promised.Bytes + demand.Memory.Bytes);
    }

    /// <summary>It has ended.</summary>
    public void Return(AdmissionDemand demand)
    {
        Taken -= demand.TakesPlace ? 1 : 0;
        Promised = ByteSize.FromBytes(Promised.Bytes - demand.Memory.Bytes);
    }
}
