namespace Berth.Core.Placement;

/// <summary>Whether a node takes new work. Only <see cref="Ready"/> does.</summary>
public enum NodeAvailability
{
    /// <summary>Heard of lately.</summary>
    Ready = 0,

    /// <summary>Silent for longer than usual: what runs there goes on, nothing new goes there.</summary>
    Suspect = 1,

    /// <summary>Silent for so long that its work is begun again elsewhere.</summary>
    Lost = 2,

    /// <summary>Somebody asked that nothing new goes there.</summary>
    Cordoned = 3,

    /// <summary>Its work is to finish or move, and nothing new goes there.</summary>
    Draining = 4,
}
