namespace Berth.Registry.Collection;

/// <summary>What one collection removed.</summary>
public sealed record CollectionReport(int Blobs, long Bytes, int Layers, int Links, TimeSpan Duration);
