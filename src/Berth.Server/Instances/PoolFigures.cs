using Berth.Core.Scaling;

namespace Berth.Server.Instances;

/// <summary>What a pool is doing, for people and metrics.</summary>
/// <param name="Scale">The settings that hold now.</param>
/// <param name="Why">The last decision on how many there should be, a sentence.</param>
/// <param name="Trouble">Why the last start failed; null when it did not.</param>
internal sealed record PoolFigures(
    int Ready, int Starting, int Running, int Waiting, ScaleSpec Scale, string Why, string? Trouble);
