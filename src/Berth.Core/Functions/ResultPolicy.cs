namespace Berth.Core.Functions;

/// <summary>Whether a result answers more calls than the one it was made for.</summary>
/// <param name="KeepFor">How long equal calls are answered with it; null for none but those under way.</param>
/// <param name="SingleFlight">Equal calls at once share one execution.</param>
public sealed record ResultPolicy(TimeSpan? KeepFor, bool SingleFlight);
